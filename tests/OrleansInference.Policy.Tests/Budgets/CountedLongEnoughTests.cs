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

    private static TenantLedger Ledger() => new(new()
    {
        Id = new("tenant"),
        Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = Day / 1000, Limit = Money.FromNanos(100) }],
    });
}
