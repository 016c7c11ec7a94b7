using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

public sealed partial class RetryAfterTests
{
    private static readonly string[] Zones = ["UTC", "Europe/Berlin", "Asia/Kathmandu"];

    [Fact]
    public void After_the_time_named_the_same_reservation_succeeds_if_nobody_else_spends_and_a_moment_earlier_it_does_not()
    {
        var (refused, held, exact) = (0, 0, 0);
        for (var seed = 0; seed < 3_000; seed++)
        {
            var history = new History(seed);
            if (history.Ask() is not { } shortage)
            {
                continue;
            }

            refused++;
            if (shortage.RetryAfterMs == 0)
            {
                Assert.Contains(history.Limits, limit => limit < shortage.Amount);
                continue;
            }

            // Exact where nothing is held.
            if (history.Holds == 0)
            {
                exact++;
                Assert.False(history.AskAgainAfter(shortage, shortage.RetryAfterMs - 1, report: false), $"seed {seed}: it would have fitted earlier");
            }

            held += shortage.IsHeld ? 1 : 0;
            Assert.True(history.AskAgainAfter(shortage, shortage.RetryAfterMs, report: true), $"seed {seed}: {shortage.Reason}");
        }

        Assert.True(refused > 300 && held > 50 && exact > 50, $"{refused} refused, {held} for held money, {exact} exact");
    }

    [Fact]
    public void However_often_and_for_what_amounts_it_was_asked_before_the_time_named_is_that_of_a_ledger_that_never_was()
    {
        var asked = 0;
        for (var seed = 0; seed < 300; seed++)
        {
            var history = new History(seed);
            asked += history.GoOnAsking(seed);
        }

        Assert.True(asked > 3_000, $"{asked} asked while something was short");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2_500)]
    [InlineData(10_500)]
    public void With_more_reservations_than_are_looked_at_one_by_one_the_time_named_is_when_it_fits_though_none_is_settled(int wanted)
    {
        // As many in a window of an hour as are not searched, admitted over half an hour, to be kept for minutes or days.
        const int Reservations = 10_500;
        const long WindowMs = 3_600_000;
        var start = 1_800_000_000_000;
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = WindowMs / 1000, Limit = Money.FromNanos(Reservations) }] });
        var now = start;
        for (var i = 0; i < Reservations; i++)
        {
            now = start + (i * (WindowMs / 2) / Reservations);
            Assert.True(ledger.Reserve($"{i}", Money.FromNanos(1), start + WindowMs + (i % 2 * 10 * WindowMs), now).Granted);
        }

        var refused = ledger.Reserve("more", Money.FromNanos(wanted), now + (100 * WindowMs), now);
        Assert.False(refused.Granted);

        // A window after the last of them at the latest, which slices of a minute and the clocks' skew lengthen.
        Assert.InRange(refused.RetryAfterMs, 1, WindowMs + 60_000 + (2 * EscrowOptions.Money.SkewMs));
        Assert.False(ledger.Reserve("more", Money.FromNanos(wanted), now + (100 * WindowMs), now + refused.RetryAfterMs - 1).Granted);
        Assert.True(ledger.Reserve("more", Money.FromNanos(wanted), now + (100 * WindowMs), now + refused.RetryAfterMs).Granted);
    }

    [Fact]
    public void The_figures_of_a_refusal_add_up_to_the_limit()
    {
        for (var seed = 0; seed < 1_000; seed++)
        {
            var history = new History(seed);
            if (history.Ask() is not { } shortage)
            {
                continue;
            }

            var figures = Figures().Matches(shortage.Reason).Select(static match => decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)).ToArray();

            // Needed, limit, available, and the parts that take the rest up.
            Assert.Equal(shortage.Amount.ToDollars(), figures[0]);
            Assert.Equal(figures[1], figures[2..].Sum());
            Assert.True(figures[2] < figures[0] && figures[2] >= shortage.Available.ToDollars(), $"seed {seed}: {shortage.Reason}");
            Assert.True(shortage.IsHeld == shortage.Reason.Contains("is held", StringComparison.Ordinal), $"seed {seed}: {shortage.Reason}");
            Assert.True(shortage.Available < shortage.Amount, $"seed {seed}: {shortage.Reason}");
        }
    }

    [Fact]
    public void Nothing_is_said_to_be_held_where_silos_hold_leases_of_nothing()
    {
        var now = 1_800_000_000_000;
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 3600, Limit = Money.FromNanos(100) }] });
        Assert.True(ledger.Reserve("job", Money.FromNanos(100), now + 60_000, now).Granted);
        ledger.Settle("job", Money.FromNanos(100), now);
        ledger.Refill(new() { Holder = "a", LeaseId = 1, AtLeast = 10 }, now + 1);
        var shortage = ledger.Shortage(Money.FromNanos(10), now + 2);
        Assert.False(shortage.IsHeld);
        Assert.Contains("enough has left the window at", shortage.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Money_that_requests_under_way_hold_is_due_within_a_lease_and_not_when_the_window_frees()
    {
        var now = 1_800_000_000_000;
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromNanos(100) }] });
        ledger.Refill(new() { Holder = "a", LeaseId = 1, AtLeast = 90 }, now);
        ledger.Refill(new() { Holder = "a", LeaseId = 1, Pending = 90 }, now);
        var reply = ledger.Reserve("job", Money.FromNanos(50), now + 60_000, now);
        Assert.False(reply.Granted);
        Assert.InRange(reply.RetryAfterMs, 1, EscrowOptions.Money.LeaseMs);
        Assert.Contains("held by requests under way", reply.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_reservation_calls_the_free_money_of_leases_back()
    {
        var now = 1_800_000_000_000;
        var ledger = new TenantLedger(new() { Id = new("t"), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromNanos(100) }] });
        var lease = new EscrowLease(1, cells: 1);
        lease.Apply(ledger.Refill(lease.BuildReport("a", now, atLeast: 90), now)!, now);
        var refused = ledger.Reserve("job", Money.FromNanos(50), now + 60_000, now);
        Assert.False(refused.Granted);
        var later = now + refused.RetryAfterMs;
        lease.Apply(ledger.Refill(lease.BuildReport("a", later - 2), later - 2)!, later - 2);
        ledger.Refill(lease.BuildReport("a", later - 1), later - 1);
        Assert.True(ledger.Reserve("job", Money.FromNanos(50), now + 60_000, later).Granted);
    }

    [GeneratedRegex(@"(-?\d+(?:\.\d+)?) \$")]
    private static partial Regex Figures();

    /// <summary>A ledger after some random life, and everybody who holds its money.</summary>
    private sealed class History
    {
        private readonly TenantLedger _ledger;
        private readonly Dictionary<string, LeaseReport> _reports = [];
        private readonly List<string> _jobs = [];
        private readonly Money _amount;
        private readonly long _now;

        public History(int seed)
        {
            var random = new Random(seed);
            var windows = ImmutableArray.CreateBuilder<BudgetWindowDefinition>();
            do
            {
                var kind = (BudgetWindowKind)random.Next(3);
                windows.Add(new() { Kind = kind, Seconds = random.Next(60, 7200), Limit = Money.FromNanos(random.Next(50, 600)) });
            }
            while (random.Next(3) == 0);
            Limits = [.. windows.Select(static window => window.Limit)];
            _now = new DateTimeOffset(2026, 10, 24, 20, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds() + random.NextInt64(40 * 3_600_000L);
            _ledger = new(new() { Id = new("t"), Budgets = windows.ToImmutable(), TimeZone = Zones[random.Next(Zones.Length)] });
            var holding = random.Next(3) > 0;
            for (var i = random.Next(12); i > 0; i--)
            {
                _now += random.Next(600_000);
                var id = $"job-{i}";
                if (_ledger.Reserve(id, Money.FromNanos(random.Next(1, 60)), _now + random.Next(1, 7_200_000), _now).Granted)
                {
                    _ledger.Settle(id, Money.FromNanos(random.Next(0, 60)), _now);
                }
            }

            for (var i = holding ? random.Next(3) : 0; i > 0; i--)
            {
                var id = $"open-{i}";
                if (_ledger.Reserve(id, Money.FromNanos(random.Next(1, 60)), _now + random.Next(60_000, 7_200_000), _now).Granted)
                {
                    _jobs.Add(id);
                }
            }

            for (var i = holding ? random.Next(4) : 0; i > 0; i--)
            {
                var report = new LeaseReport { Holder = $"silo-{i}", LeaseId = 1, AtLeast = random.Next(1, 120) };
                var granted = _ledger.Refill(report, _now)!.Granted;
                if (granted > 0)
                {
                    _reports[report.Holder] = report with { AtLeast = 0, Settled = random.NextInt64(granted / 2 + 1), Pending = granted / 3 };
                    _ledger.Refill(_reports[report.Holder], _now);
                }
            }

            _amount = Money.FromNanos(random.Next(1, 700));
        }

        public ImmutableArray<Money> Limits { get; }

        public int Holds => _jobs.Count + _ledger.GetView(_now).Leases.Length;

        public BudgetShortage? Ask() =>
            _ledger.RetryAfterMs(_amount, _now) is 0 ? null : _ledger.Shortage(_amount, _now);

        /// <summary>Time passes and money comes and goes, and each time two amounts are asked about, of this ledger and of one taken up anew; how many were short.</summary>
        public int GoOnAsking(int seed)
        {
            var random = new Random(seed);
            var (at, shorts) = (_now, 0);
            for (var i = 0; i < 60; i++)
            {
                switch (random.Next(6))
                {
                    case 0:
                        at += random.Next(1, 900_000);
                        break;
                    case 1:
                        _ledger.Reserve($"more-{i}", Money.FromNanos(random.Next(1, 30)), at + random.Next(1_000, 7_200_000), at);
                        break;
                    case 2:
                        _ledger.Settle($"more-{random.Next(i + 1)}", Money.FromNanos(random.Next(0, 30)), at);
                        break;
                    case 3:
                        _ledger.Refill(new() { Holder = $"late-{i}", LeaseId = 1, AtLeast = random.Next(1, 60) }, at);
                        break;
                    default:
                        at += random.Next(3);
                        break;
                }

                foreach (var amount in (Money[])[Money.FromNanos(random.Next(1, 400)), _amount])
                {
                    var fresh = new TenantLedger(Definition(), _ledger.ToState()).RetryAfterMs(amount, at);
                    Assert.Equal(fresh, _ledger.RetryAfterMs(amount, at));
                    shorts += fresh is 0 ? 0 : 1;
                }
            }

            return shorts;
        }

        /// <summary>Time passes; then, if told so, all report what they hold as unspent.</summary>
        public bool AskAgainAfter(BudgetShortage shortage, long ms, bool report)
        {
            var ledger = new TenantLedger(Definition(), _ledger.ToState());
            var at = _now + ms;
            if (report)
            {
                foreach (var (holder, last) in _reports)
                {
                    // What is free comes with the first report, what requests held with the last one of the lease.
                    var granted = ledger.ToState().Escrow!.Leases.Single(lease => lease.Holder == holder).Granted;
                    var settled = Math.Min(last.Settled, granted);
                    var pending = ms < EscrowOptions.Money.LeaseMs ? Math.Min(last.Pending, granted - settled) : 0;
                    ledger.Refill(last with { Settled = settled, Pending = pending, Returned = granted - settled - pending }, _now + Math.Min(ms, EscrowOptions.Money.ReportMs));
                }

                foreach (var job in _jobs)
                {
                    // One that would run out meanwhile has ended in time; the others are still under way.
                    if (ledger.ToState().Reservations!.Single(r => r.Id == job).ExpiresAt <= at)
                    {
                        ledger.Settle(job, Money.Zero, _now + 1);
                    }
                }
            }

            return ledger.RetryAfterMs(shortage.Amount, at) is 0;
        }

        private TenantDefinition Definition() => _ledger.Definition;
    }
}
