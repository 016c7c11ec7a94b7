using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>The lease under every order of its atomic steps with up to two preemptions, and under real threads.</summary>
public sealed class LeaseConcurrencyTests
{
    private const long Now = 1_000;
    private const int MostOrders = 20_000;

    [Fact]
    public void Two_that_want_more_than_there_is_never_get_it_and_what_is_settled_is_exact() =>
        Explore(units: 5, static w => [() => w.Use(3, 2), () => w.Use(3, 3)]);

    [Fact]
    public void Two_that_gather_from_each_others_cells_lose_no_unit() =>
        Explore(units: 4, static w => [() => w.Use(4, 1), () => w.Use(2, 2)]);

    [Fact]
    public void A_report_states_what_was_settled_before_it_and_nothing_that_was_not() =>
        Explore(units: 6, static w => [() => w.Use(3, 2), () => w.Report(closing: false)]);

    [Fact]
    public void Surplus_that_is_given_back_cannot_be_reserved_any_more() =>
        Explore(units: 6, keep: 2, static w => [() => w.Use(3, 3), () => w.Report(closing: false)]);

    [Fact]
    public void A_refill_may_come_at_any_moment() =>
        Explore(units: 2, static w => [() => w.Use(4, 3), () => w.Grant(4)]);

    [Fact]
    public void A_closing_report_means_that_nobody_holds_anything() =>
        Explore(units: 4, static w => [() => w.Use(2, 1), () => w.Report(closing: true)]);

    [Fact]
    public void A_lease_closed_between_two_users_and_a_refill_is_accounted_for_to_the_unit() =>
        Explore(units: 2, static w => [() => w.Use(1, 1), () => w.Use(2, 0), () => w.Report(closing: true)]);

    [Fact]
    public void Who_retires_a_closed_lease_that_nobody_uses_has_been_told_everything() =>
        Explore(units: 4, static w => [() => w.Use(2, 1), () => w.Retire()]);

    [Fact]
    public async Task Real_threads_reserve_settle_and_report_to_the_unit()
    {
        const int Threads = 4;
        var lease = new EscrowLease(1, skewMs: 0, cells: 3);
        var granted = 0L;
        var charged = 0L;
        using var users = new CountdownEvent(Threads);
        var tasks = Enumerable.Range(0, Threads).Select(seed => Task.Factory.StartNew(
            () =>
            {
                var random = new Random(seed);
                for (var i = 0; i < 50_000; i++)
                {
                    var amount = random.Next(1, 50);
                    if (lease.TryReserve(amount, Now))
                    {
                        var charge = random.Next(amount + 1);
                        lease.Settle(amount, charge);
                        Interlocked.Add(ref charged, charge);
                    }
                }

                users.Signal();
            },
            TaskCreationOptions.LongRunning)).ToArray();
        do
        {
            var before = Interlocked.Read(ref charged);
            var report = lease.BuildReport("silo", Now);
            Assert.True(report.Settled >= before, $"{before} were charged before a report of {report.Settled}");
            Assert.True(report.Settled + report.Returned + report.Pending <= granted, $"{report} of {granted} granted");
            granted += 200;
            lease.Apply(new() { LeaseId = 1, Granted = granted, SpendUntil = long.MaxValue / 2, Keep = 500 }, Now);
        }
        while (!users.IsSet);
        await Task.WhenAll(tasks);
        var last = lease.BuildReport("silo", Now, closing: true);
        Assert.True(last.Closing);
        Assert.Equal(charged, last.Settled);
        Assert.Equal(granted, last.Settled + last.Returned);
        Assert.Equal(0, lease.Open);
        Assert.False(lease.TryReserve(1, Now));
    }

    private static void Explore(long units, Func<World, Action[]> threads) => Explore(units, long.MaxValue, threads);

    private static void Explore(long units, long keep, Func<World, Action[]> threads)
    {
        var orders = new Interleavings(maxPreemptions: 2).Explore(
            _ =>
            {
                var world = new World(units, keep);
                return (threads(world), world.Check);
            },
            MostOrders);
        Assert.True(orders > 50, $"only {orders} orders: the threads do not meet");
    }

    /// <summary>A lease and what is truly so; the truth changes between atomic steps only, as one thread runs at a time.</summary>
    private sealed class World
    {
        private readonly LeaseHolder<Interleavings.Step> _lease = new(1, skewMs: 0, cells: 2, default);
        private readonly long _keep;
        private long _granted;
        private long _open;
        private long _charged;
        private long _settled;
        private long _told;
        private bool _isClosed;

        public World(long units, long keep)
        {
            _keep = keep;
            Grant(units);
        }

        public void Grant(long units)
        {
            _granted += units;
            _lease.Apply(new() { LeaseId = 1, Granted = _granted, SpendUntil = long.MaxValue / 2, Keep = _keep }, Now);
        }

        public void Use(long amount, long charge)
        {
            var wasClosed = _isClosed;
            if (!_lease.TryReserve(amount, Now))
            {
                return;
            }

            _open += amount;
            Assert.False(wasClosed, "reserved from a lease that was closed before");
            Assert.True(_open + _charged + _told <= _granted, $"{_open} reserved, {_charged} charged and {_told} given back of {_granted}");
            Assert.True(_lease.Open > 0, "a reservation is open and not counted");
            _open -= amount;
            _charged += charge;
            _lease.Settle(amount, charge);
            _settled += charge;
        }

        public LeaseReport Report(bool closing)
        {
            var settledBefore = _settled;
            var report = _lease.BuildReport("silo", Now, 0, closing);
            _told = report.Returned;
            _isClosed |= closing;
            Assert.True(report.Settled >= settledBefore, $"{settledBefore} were settled before a report of {report.Settled}");
            Assert.True(report.Settled <= _charged, $"a report of {report.Settled} when {_charged} were charged");
            Assert.True(_open + _charged - report.Settled <= _granted - report.Settled - report.Returned, $"{_open} are reserved beyond what {report} leaves of {_granted}");
            Assert.True(!report.Closing || (_open == 0 && report.Settled == _charged), "a closing report while units are reserved");
            return report;
        }

        /// <summary>As an account does with a lease that it has replaced: closes it, asks who is left, and reports once more.</summary>
        public void Retire()
        {
            Report(closing: true);
            var isOver = _lease.Open == 0;
            var report = Report(closing: true);
            Assert.True(!isOver || report.Closing, "nobody is left, and the report leaves something open");
        }

        /// <summary>When all threads have ended.</summary>
        public void Check()
        {
            Assert.Equal(0, _lease.Open);
            Assert.Equal(_charged, _lease.Settled);
            var last = _lease.BuildReport("silo", Now, 0, closing: true);
            Assert.True(last.Closing);
            Assert.Equal(_charged, last.Settled);
            Assert.Equal(_granted, last.Settled + last.Returned);
        }
    }
}
