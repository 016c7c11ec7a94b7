using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

/// <summary>The edges that random histories seldom hit to the second.</summary>
public sealed class CountedLongEnoughTests
{
    private const long Cell = 900_000;
    private const long Day = 86_400_000;

    [Fact]
    public void Money_spent_at_the_end_of_a_cell_counts_for_a_whole_window()
    {
        var ledger = Ledger();
        var spentAt = (1_790_000_000_000 / Cell * Cell) + Cell - 10_000;
        Assert.True(ledger.Reserve("all", Money.FromNanos(100), spentAt + 60_000, spentAt).Granted);
        Assert.Equal(SettleOutcome.Settled, ledger.Settle("all", Money.FromNanos(100), spentAt + 1_000));
        for (var now = spentAt + Day - (2 * Cell); now <= spentAt + Day; now += 1_000)
        {
            Assert.False(ledger.Reserve($"at {now}", Money.FromNanos(1), now + 60_000, now).Granted, $"{spentAt + Day - now} ms too early");
        }

        var later = spentAt + Day + (2 * Cell);
        Assert.True(ledger.Reserve("later", Money.FromNanos(100), later + 60_000, later).Granted);
    }

    [Fact]
    public void A_silent_holders_lease_is_out_until_no_clock_allows_spending_from_it()
    {
        var ledger = Ledger();
        const long Now = 1_790_000_000_000;
        var grant = ledger.Refill(new() { Holder = "silo", LeaseId = 1, AtLeast = 40, Wanted = 40 }, Now)!;
        Assert.Equal(40, grant.Granted);
        var over = grant.SpendUntil + EscrowOptions.Money.SkewMs;
        Assert.Single(ledger.GetView(over - 1).Leases);
        Assert.Equal(Money.Zero, ledger.UnreportedTotal);
        Assert.Empty(ledger.GetView(over).Leases);
        Assert.Equal(Money.FromNanos(40), ledger.UnreportedTotal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(500)]
    [InlineData(-500)]
    [InlineData(2_000)]
    [InlineData(-2_000)]
    public void A_holder_whose_clock_is_off_by_the_skew_spends_nothing_that_the_owner_counts_as_lost(long off)
    {
        const long Now = 1_790_000_000_000;
        var (ledger, lease) = Leased(Now, off);
        var lost = Now;
        while (ledger.GetView(lost).Leases.Length > 0)
        {
            lost += 100;
        }

        // From the moment on at which the owner counts it as spent, and the whole skew before.
        for (var late = lost - EscrowOptions.Money.SkewMs; late < lost + 60_000; late += 100)
        {
            Assert.False(lease.TryReserve(1, late + off), $"spent {lost - late} ms before it was counted");
        }

        // A lease that has ended is not revived by a clock that is set back after the holder has looked.
        Assert.True(lease.BuildReport("silo", lost + off, closing: false).Closing);
        Assert.False(lease.TryReserve(1, Now));
    }

    [Fact]
    public void A_silo_that_was_paused_spends_nothing_more_and_what_it_had_admitted_before_counts_at_its_admission()
    {
        const long Now = 1_790_000_000_000;
        var (ledger, lease) = Leased(Now, 0);
        Assert.True(lease.TryReserve(30, Now + 1_000));
        var woken = Now + 45_000;
        Assert.False(lease.TryReserve(1, woken));

        // While it was away its whole lease counted as spent, so its call of before is within the limit.
        ledger.Tick(woken);
        Assert.Equal(Money.FromNanos(40), ledger.UnreportedTotal);
        Assert.False(ledger.Reserve("beyond", Money.FromNanos(61), woken + 60_000, woken).Granted);
        Assert.True(ledger.Reserve("within", Money.FromNanos(60), woken + 60_000, woken).Granted);

        lease.Settle(30, 20);
        var grant = ledger.Refill(lease.BuildReport("silo", woken), woken)!;
        Assert.True(grant.Fenced);
        Assert.Equal((Money.FromNanos(20), Money.Zero), (ledger.SettledTotal, ledger.UnreportedTotal));
        Assert.True(ledger.Reserve("corrected", Money.FromNanos(20), woken + 60_000, woken).Granted);
        Assert.False(ledger.Reserve("more", Money.FromNanos(1), woken + 60_000, woken).Granted);
    }

    private static (TenantLedger Ledger, EscrowLease Lease) Leased(long now, long off)
    {
        var ledger = Ledger();
        var lease = new EscrowLease(1, EscrowOptions.Money.SkewMs, cells: 1);
        var report = lease.BuildReport("silo", now + off, atLeast: 40);
        lease.Apply(ledger.Refill(report, now)!, now + off);
        Assert.Equal(40, lease.Available);
        return (ledger, lease);
    }

    private static TenantLedger Ledger() => new(new()
    {
        Id = new("tenant"),
        Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = Day / 1000, Limit = Money.FromNanos(100) }],
    });
}
