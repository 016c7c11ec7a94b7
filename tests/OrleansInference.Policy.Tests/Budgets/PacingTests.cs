using OrleansInference.Budgets;

namespace OrleansInference.Tests.Budgets;

public sealed class PacingTests
{
    private static readonly BudgetWindowDefinition Hour = new() { Kind = BudgetWindowKind.Rolling, Seconds = 3600, Limit = Money.FromDollars(36) };

    private static BudgetView View(decimal dollarsPerHour) => new()
    {
        Tenant = new("t"),
        Windows = [new() { Window = Hour, Available = Hour.Limit }],
        SpendPerHour = Money.FromDollars(dollarsPerHour),
    };

    [Fact]
    public void The_weight_rises_ahead_of_pace_and_falls_to_none_behind_it()
    {
        var pacing = new Pacing();
        var now = 1_000_000L;
        pacing.Observe(View(0), now);
        Assert.Equal(0, pacing.Weight);

        var before = 0.0;
        for (var i = 0; i < 1_000; i++)
        {
            pacing.Observe(View(72), now += 2_000);
            Assert.True(pacing.Weight >= before);
            before = pacing.Weight;
        }

        Assert.Equal(Pacing.MaxWeight, pacing.Weight);
        for (var i = 0; i < 2_000; i++)
        {
            pacing.Observe(View(1), now += 2_000);
            Assert.True(pacing.Weight <= before);
            before = pacing.Weight;
        }

        Assert.Equal(0, pacing.Weight);
    }

    [Fact]
    public void After_a_long_time_without_use_the_weight_is_gone_at_the_first_look()
    {
        var pacing = new Pacing(new(Pacing.MaxWeight, 1_000_000));
        pacing.Observe(View(0), 1_000_000 + 3_600_000);
        Assert.Equal(0, pacing.Weight);

        var rested = new Pacing(new(Pacing.MaxWeight, 1_000_000));
        rested.Observe(View(0), 1_000_000 + 72_000);
        Assert.Equal(Pacing.MaxWeight / Math.E, rested.Weight, 6);
    }

    [Fact]
    public void A_time_that_runs_backwards_changes_nothing_and_the_state_goes_on_where_it_was()
    {
        var pacing = new Pacing();
        pacing.Observe(View(100), 1_000);
        pacing.Observe(View(100), 60_000);
        var weight = pacing.Weight;
        Assert.True(weight > 0);
        pacing.Observe(View(100), 30_000);
        Assert.Equal(weight, pacing.Weight);
        Assert.Equal(weight, new Pacing(pacing.ToState()).Weight);
        Assert.Equal(0, new Pacing(new(double.NaN, 5)).Weight);
    }

    [Fact]
    public void Without_a_budget_there_is_no_weight()
    {
        var pacing = new Pacing(new(50, 1));
        pacing.Observe(new() { Tenant = new("t") }, 10_000);
        Assert.Equal(0, pacing.Weight);
    }
}
