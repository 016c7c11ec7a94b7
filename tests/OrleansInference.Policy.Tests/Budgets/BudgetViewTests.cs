using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

public sealed class BudgetViewTests
{
    private const long Start = 1_800_000_000_000;

    private static TenantDefinition Tenant(long limit, params ReadOnlySpan<int> percents) => new()
    {
        Id = new("t"),
        Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 3600, Limit = Money.FromNanos(limit) }],
        AlertPercents = [.. percents],
    };

    [Fact]
    public void Each_threshold_is_given_once_per_period_over_a_restart_too_and_shows_in_the_view()
    {
        var ledger = new TenantLedger(Tenant(100, 25, 90));
        Spend(ledger, "a", 20, Start);
        Assert.Empty(ledger.TakeAlerts());
        Spend(ledger, "b", 10, Start + 1);
        var alert = Assert.Single(ledger.TakeAlerts());
        Assert.Equal((25, Money.FromNanos(30)), (alert.Percent, alert.Counted));

        ledger = new(ledger.Definition, ledger.ToState());
        Spend(ledger, "c", 10, Start + 2);
        Assert.Empty(ledger.TakeAlerts());
        Assert.Equal([25], ledger.GetView(Start + 3).Windows[0].Alerts);
        Spend(ledger, "d", 60, Start + 4);
        Assert.Equal([90], ledger.TakeAlerts().Select(static a => a.Percent));
        Assert.Equal([25, 90], ledger.GetView(Start + 5).Windows[0].Alerts);

        var next = Start + 3_700_000;
        Assert.Empty(ledger.GetView(next).Windows[0].Alerts);
        Spend(ledger, "e", 30, next);
        Assert.Equal([25], ledger.TakeAlerts().Select(static a => a.Percent));
    }

    [Fact]
    public void Money_that_is_only_held_gives_no_alert()
    {
        var ledger = new TenantLedger(Tenant(100, 50, 100));
        Assert.True(ledger.Reserve("job", Money.FromNanos(100), Start + 60_000, Start).Granted);
        Assert.False(ledger.Reserve("next", Money.FromNanos(1), Start + 60_000, Start).Granted);
        Assert.Empty(ledger.TakeAlerts());
        ledger.Settle("job", Money.FromNanos(50), Start + 1);
        Assert.Equal([50], ledger.TakeAlerts().Select(static a => a.Percent));
    }

    [Fact]
    public void A_tenant_without_thresholds_gets_no_alerts()
    {
        var ledger = new TenantLedger(Tenant(100));
        Spend(ledger, "a", 100, Start);
        Assert.False(ledger.Reserve("b", Money.FromNanos(1), Start + 60_000, Start).Granted);
        Assert.Empty(ledger.TakeAlerts());
        Assert.Empty(ledger.GetView(Start).Windows[0].Alerts);
    }

    [Fact]
    public void The_parts_of_a_window_add_up_to_its_limit()
    {
        var ledger = new TenantLedger(Tenant(1000));
        Spend(ledger, "a", 100, Start);
        Assert.True(ledger.Reserve("job", Money.FromNanos(50), Start + 60_000, Start).Granted);
        ledger.Refill(new() { Holder = "silo", LeaseId = 1, AtLeast = 200 }, Start);
        ledger.Refill(new() { Holder = "silo", LeaseId = 1, Settled = 30, Pending = 60 }, Start + 1);
        var view = ledger.GetView(Start + 1);
        var window = Assert.Single(view.Windows);
        Assert.Equal((130, 50, 170, 650), (window.Settled.Nanos, window.Reserved.Nanos, window.Leased.Nanos, window.Available.Nanos));
        Assert.Equal(Money.Zero, window.BeyondLimit);
        var lease = Assert.Single(view.Leases);
        Assert.Equal(("silo", 170, 60), (lease.Holder, lease.Outstanding.Nanos, lease.Pending.Nanos));
        Assert.True(window.Pace > 0);
        Assert.NotNull(window.FreesAt);
        Assert.Equal((5, Start + 1), (view.LimitChangeRouterSeconds, view.At.ToUnixTimeMilliseconds()));
    }

    [Fact]
    public void Each_part_is_counted_once_also_where_money_is_unreported_and_the_limit_was_lowered_below_what_is_spent()
    {
        var ledger = new TenantLedger(Tenant(1000));
        ledger.Refill(new() { Holder = "silent", LeaseId = 1, AtLeast = 200 }, Start);
        var now = Start + EscrowOptions.Money.LeaseMs + EscrowOptions.Money.SkewMs;
        Spend(ledger, "a", 100, now);
        Assert.True(ledger.Reserve("job", Money.FromNanos(50), now + 60_000, now).Granted);
        ledger.Refill(new() { Holder = "silo", LeaseId = 1, AtLeast = 120 }, now);
        foreach (var (limit, available, over, beyond) in ((long, long, long, long)[])[(1000, 530, 0, 0), (400, 0, 70, 70), (60, 0, 410, 170)])
        {
            ledger.Configure(Tenant(limit), now);
            var view = ledger.GetView(now);
            var window = Assert.Single(view.Windows);
            Assert.Equal((100, 200, 50, 120), (window.Settled.Nanos, window.Unreported.Nanos, window.Reserved.Nanos, window.Leased.Nanos));
            Assert.Equal((available, over, beyond), (window.Available.Nanos, window.OverLimit.Nanos, window.BeyondLimit.Nanos));
            Assert.Equal(limit + over, (window.Settled + window.Unreported + window.Reserved + window.Leased + window.Available).Nanos);
            Assert.Equal((window.Settled, window.Unreported), (view.SettledTotal, view.UnreportedTotal));
        }
    }

    [Fact]
    public void A_silent_holders_part_becomes_unreported_and_the_forecast_says_when_the_money_is_gone()
    {
        var ledger = new TenantLedger(Tenant(1000));
        ledger.Refill(new() { Holder = "silo", LeaseId = 1, AtLeast = 200 }, Start);
        var later = Start + EscrowOptions.Money.LeaseMs + EscrowOptions.Money.SkewMs;
        var window = ledger.GetView(later).Windows[0];
        Assert.Equal((0, 200, 0), (window.Settled.Nanos, window.Unreported.Nanos, window.Leased.Nanos));

        for (var i = 0; i < 60; i++)
        {
            Spend(ledger, $"s{i}", 10, later += 1000);
        }

        var forecast = ledger.GetView(later).Windows[0].ExhaustedAt;
        Assert.NotNull(forecast);
        Assert.InRange(forecast.Value.ToUnixTimeMilliseconds(), later, later + 3_600_000);
    }

    [Fact]
    public void A_lowered_limit_calls_leases_back_within_the_stated_time_and_shows_what_may_go_beyond_it()
    {
        var now = Start;
        var ledger = new TenantLedger(Tenant(1000));
        var holders = Enumerable.Range(0, 3).Select(i => (Name: $"silo-{i}", Lease: new EscrowLease(1, cells: 1))).ToArray();
        for (var second = 0; second < 10; second++)
        {
            foreach (var (name, lease) in holders)
            {
                // Demand, so that the holders would rather keep what they have.
                lease.Apply(ledger.Refill(lease.BuildReport(name, now, atLeast: 40), now)!, now);
                if (lease.TryReserve(20, now))
                {
                    lease.Settle(20, 10);
                }
            }

            now += 100;
        }

        var before = ledger.GetView(now).Windows[0];
        ledger.Configure(Tenant((before.Settled + Money.FromNanos(40)).Nanos), now);
        var lowered = ledger.GetView(now).Windows[0];
        Assert.Equal(before.Leased - Money.FromNanos(40), lowered.BeyondLimit);
        Assert.Equal(Money.Zero, lowered.Available);

        // Two reports of each, as they come within the stated time.
        for (var i = 0; i < 2; i++)
        {
            foreach (var (name, lease) in holders)
            {
                lease.Apply(ledger.Refill(lease.BuildReport(name, now), now)!, now);
            }

            now += 2_000;
        }

        Assert.True(now - Start <= 1_000 + EscrowOptions.Money.ReportMs);
        var after = ledger.GetView(now).Windows[0];
        Assert.Equal(Money.Zero, after.BeyondLimit);
        Assert.True(after.Settled + holders.Aggregate(Money.Zero, static (sum, h) => sum + Money.FromNanos(h.Lease.Available)) <= after.Window.Limit);
    }

    private static void Spend(TenantLedger ledger, string id, long amount, long now)
    {
        Assert.True(ledger.Reserve(id, Money.FromNanos(amount), now + 60_000, now).Granted);
        Assert.Equal(SettleOutcome.Settled, ledger.Settle(id, Money.FromNanos(amount), now));
    }
}
