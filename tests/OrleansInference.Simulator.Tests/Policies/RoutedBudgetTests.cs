using System.Collections.Immutable;
using OrleansInference.Pricing;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Policies;

/// <summary>The budgets of tenants in virtual time.</summary>
public sealed class RoutedBudgetTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("simulator-test");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData(0, 3_600)]
    [InlineData(0, 600)]
    [InlineData(3, 3_600)]
    [InlineData(3, 600)]
    public void What_is_charged_stays_within_the_budget_at_every_position_of_its_window_and_the_last_dollar_can_be_spent(int silos, int windowSeconds)
    {
        // A call a second for two hours, of a second each, and money for half of them.
        var scenario = Scenario(TrafficClass.High, windowSeconds, windowSeconds / 2, [LowBudgetStep.Refuse]);
        var options = silos > 0 ? RoutedOptions.Cluster(silos) : new();
        var (run, budget) = Run(scenario, options, SmallWorld.Pace(0, 7_200, 60, TrafficClass.High));

        // Every call begins when it comes: what it is charged counts then.
        var times = run.Ends.Select(static end => end.Number).Order().ToArray();
        Assert.All(run.Ends, static end => Assert.Equal(end.Number, end.Began, 3));
        var most = Enumerable.Range(0, times.Length).Max(first => times.Skip(first).TakeWhile(number => number < times[first] + windowSeconds).Count());
        Assert.InRange(most * OneCall.Nanos, 0, budget.Limit.Nanos);
        Assert.InRange(most * OneCall.Nanos, budget.Limit.Nanos * 9 / 10, budget.Limit.Nanos);
        Assert.Equal(OneCall.Nanos * times.Length, budget.Charged.Nanos);
        Assert.InRange(budget.MostInWindow.Nanos, most * OneCall.Nanos, budget.Limit.Nanos);
        Assert.Equal((7_200 - times.Length, 0), (budget.Refused, budget.Held));
        Assert.Equal(7_200, run.World.Tenants[0].Requests);
    }

    [Theory]
    [InlineData(0, Lane.Async)]
    [InlineData(3, Lane.Async)]
    [InlineData(0, Lane.Batch)]
    public void A_job_that_the_budget_does_not_cover_waits_for_its_money_and_one_that_it_never_covers_is_refused(int silos, Lane lane)
    {
        // Sixty at once, and money for the charge caps of few of them every ten minutes; within a day all have had theirs.
        var cap = CapOf(lane);
        var scenario = Scenario(TrafficClass.Low, 600, 0, [LowBudgetStep.Hold], Money.FromNanos(cap.Nanos * 5), only: lane);
        var options = silos > 0 ? RoutedOptions.Cluster(silos) : new();
        var (run, budget) = Run(scenario, options, Enumerable.Range(0, 60).Select(static i => SmallWorld.At(i, TrafficClass.Low)));
        Assert.Equal(60, run.World.Tenants[2].Attained);
        Assert.Equal(0, budget.Refused);
        Assert.InRange(budget.Held, 50, 59);
        Assert.Equal(OneCall.Nanos * 60, budget.Charged.Nanos);

        // A budget that never covers one of them holds none.
        var (none, poor) = Run(scenario with { Tenants = [.. scenario.Tenants.Select(static tenant => tenant.Budget is { } own ? tenant with { Budget = own with { Limit = Money.FromNanos(1) } } : tenant)] }, options, [SmallWorld.At(0, TrafficClass.Low)]);
        Assert.Equal((0, 1, 0), (none.World.Tenants[2].Attained, poor.Refused, poor.Held));
    }

    [Fact]
    public void Spending_that_is_paced_lasts_longer()
    {
        // A serverless call is charged less than half of what one on an instance is; the instance is there anyway, so that a call on it costs nothing more.
        var scenario = Scenario(TrafficClass.High, 86_400, 4_000, [LowBudgetStep.CheaperLane, LowBudgetStep.Refuse], serverlessPerGbSecond: Money.FromNanos(40_000));
        var arrivals = SmallWorld.Pace(0, 7_200, 50, TrafficClass.High).ToArray();
        var (paced, _) = Run(scenario, new(), arrivals);
        var (unpaced, _) = Run(scenario, new() { Paces = false }, arrivals);
        Assert.True(paced.World.Tenants[0].Attained > unpaced.World.Tenants[0].Attained * 11 / 10, $"{paced.World.Tenants[0].Attained} of {arrivals.Length} paced, {unpaced.World.Tenants[0].Attained} unpaced");
        Assert.True(Serverless(paced) > Serverless(unpaced));

        static int Serverless(Watched run) => run.Ends.Count(static end => end.Pool.LaneDefinition.Lane == Lane.Serverless);
    }

    [Fact]
    public void A_budget_that_covers_everything_changes_nothing()
    {
        var scenario = Scenario(TrafficClass.Low, 86_400, 100_000, [LowBudgetStep.Refuse]);
        var arrivals = SmallWorld.Pace(0, 3_600, 60, TrafficClass.Low).Concat(SmallWorld.Pace(0.5, 3_600, 20, TrafficClass.High)).ToArray();
        var (with, budget) = Run(scenario, new(), arrivals);
        var without = SmallWorld.Run(scenario with { Tenants = [.. scenario.Tenants.Select(static tenant => tenant with { Budget = null })] }, new RoutedPolicy(new()), arrivals);
        Assert.Equal(without.Ends.Select(static end => (end.At, end.Number, end.Pool.Index, end.Began)), with.Ends.Select(static end => (end.At, end.Number, end.Pool.Index, end.Began)));
        Assert.Equal((0, 0), (budget.Refused, budget.Held));
        Assert.Equal(OneCall.Nanos * 3_600, budget.Charged.Nanos);
    }

    /// <summary>What a call of a second is charged on an instance.</summary>
    private static Money OneCall => TariffCalculator.Charge(TariffOf(Lane.Realtime), new Use { SlotMilliseconds = 1000, Requests = 1 });

    private static Money CapOf(Lane lane) => TariffCalculator.ChargeCap(TariffOf(lane), SmallWorld.Scenario().Models[0].LaneOf(lane) is { MaxServiceSeconds: var most } ? (long)(most * 1000) : 0, 1, 0, 0);

    private static Tariff TariffOf(Lane lane) =>
        ScenarioCatalog.ConfigurationOf(SmallWorld.Scenario().Models[0], SmallWorld.Scenario().Classes, static _ => (1, 1), static (_, _) => true).Model!.Variants[0].Endpoints.First(endpoint => endpoint.Lane == lane).Tariff!;

    /// <summary>One tenant's budget, in calls of a second or in money, and instances enough for all.</summary>
    private Scenario Scenario(TrafficClass whose, long windowSeconds, int calls, ImmutableArray<LowBudgetStep> lowBudget, Money? limit = null, Lane? only = null, Money? serverlessPerGbSecond = null)
    {
        var file = Path.Combine(_folder.FullName, "first.jsonl");
        File.WriteAllText(file, """{"timestamp": 0, "input_length": 1, "output_length": 1}""");
        var scenario = SmallWorld.Scenario(0.1, minInstances: 4, hasServerless: serverlessPerGbSecond is not null);
        var lanes = scenario.Models[0].Lanes.Where(lane => only is null ? lane.Lane != Lane.Batch : lane.Lane == only).Select(lane => lane.Lane == Lane.Serverless ? lane with { PricePerGbSecond = serverlessPerGbSecond!.Value } : lane);
        return scenario with
        {
            Trace = scenario.Trace with { File = file },
            Models = [scenario.Models[0] with { Lanes = [.. lanes] }],
            Tenants = [.. scenario.Tenants.Select(tenant => tenant.Class == whose ? tenant with { Budget = new() { Limit = limit ?? Money.FromNanos(OneCall.Nanos * calls), WindowSeconds = windowSeconds, LowBudget = lowBudget } } : tenant)],
        };
    }

    private static (Watched Run, BudgetResult Budget) Run(Scenario scenario, RoutedOptions options, IEnumerable<Arrival> arrivals)
    {
        var policy = new RoutedPolicy(options);
        var run = SmallWorld.Run(scenario, policy, arrivals);
        return (run, Assert.Single(policy.Budgets));
    }
}
