using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>Cold starts that are avoided at a higher price than they have, or made so often that keeping something warm is cheaper.</summary>
internal sealed class ColdStarts : IAdviser
{
    private const double MuchOfExecutions = 0.05;
    private const double WellUsed = 0.85;
    private const int WarmLonger = 4;
    private static readonly ImmutableArray<int> ScaleInMinutes = [5, 45];

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground) => ground.Today.SelectMany(today => Kept(ground, today).Concat(Cold(ground, today)));

    /// <summary>Real-time instances that wait a quarter of an hour before they go.</summary>
    private static IEnumerable<Trial> Kept(AdviceGround ground, ModelToday today)
    {
        var pools = today.PoolsOf(Lane.Realtime).ToList();
        if (ground.Policy.Vary is not { } vary || today.Result.ScaleChanges == 0 || pools.Count == 0 || pools.Max(static pool => pool.Utilization) > WellUsed)
        {
            yield break;
        }

        var price = (double)today.Model.FullVariant.PricePerHour.ToDollars();
        var provision = today.Model.LaneOf(Lane.Realtime)!.ProvisionSeconds;
        foreach (var minutes in ScaleInMinutes)
        {
            var isShorter = minutes < new FleetVariation().ScaleInMinutes;
            yield return new()
            {
                Kind = AdviceKind.ColdStarts,
                Subject = today.Model.Model,
                Change = Words.Of($"scale in after {minutes} min"),
                What = isShorter ? $"Instances of {today.Model.Model} are kept idle longer than a start is worth." : $"Instances of {today.Model.Model} are given up too soon and started anew.",
                Why = Words.Of($"A scale-in waits for 15 minutes below the target, {Numbers.Dollars(price / 4)} an instance; a start takes {Numbers.Duration(provision)}. Instances are changed {today.Result.ScaleChanges} times and {Numbers.Percent(pools.Max(static pool => pool.Utilization), 1)} busy."),
                Do = Words.Of($"Scale in by an alarm of your own after {minutes} minutes below the target."),
                Models = [today.Index],
                Parts = [new(today.Scenario, (scenario, cancel) => vary(scenario, new() { ScaleInMinutes = minutes }, cancel))],
            };
        }
    }

    /// <summary>Serverless executions that start cold.</summary>
    private static IEnumerable<Trial> Cold(AdviceGround ground, ModelToday today)
    {
        if (today.Model.LaneOf(Lane.Serverless) is not { ColdStartSeconds: > 0 } lane)
        {
            yield break;
        }

        var (starts, served, hours) = (today.PoolsOf(Lane.Serverless).Sum(static pool => pool.Starts), today.PoolsOf(Lane.Serverless).Sum(static pool => pool.Served), today.PoolsOf(Lane.Serverless).Sum(static pool => pool.Hours));
        var share = hours > 0 ? starts * lane.ColdStartSeconds / 3600 / hours : 0;
        if (share < MuchOfExecutions)
        {
            yield break;
        }

        var trial = new Trial
        {
            Kind = AdviceKind.ColdStarts,
            Subject = $"{today.Model.Model} serverless",
            Change = "",
            What = $"Cold starts are much of what the serverless executions of {today.Model.Model} bill.",
            Why = Words.Of($"{Numbers.Count(starts)} of {Numbers.Count(served)} executions start cold, {Numbers.Percent(share, 1)} of the seconds billed; environments stay warm for {Numbers.Duration(lane.KeepWarmSeconds)}."),
            Do = "",
            Models = [today.Index],
            Parts = [],
        };
        yield return trial with
        {
            Change = Words.Of($"warm for {Numbers.Duration(WarmLonger * lane.KeepWarmSeconds)}"),
            Do = $"Keep environments warm for {Numbers.Duration(WarmLonger * lane.KeepWarmSeconds)}, by a ping a few minutes after the last use; what the pings and what is kept warm cost is not in the saving.",
            Parts = [ground.Unchanged(today.Scenario with { Models = [today.Model with { Lanes = [.. today.Model.Lanes.Select(each => each.Lane == Lane.Serverless ? each with { KeepWarmSeconds = WarmLonger * each.KeepWarmSeconds } : each)] }] })],
        };
        if (today.Model.LaneOf(Lane.Realtime) is { MinInstances: 0, MaxInstances: > 0 })
        {
            yield return trial with
            {
                Change = "minInstances 0 → 1",
                Do = "Keep one real-time instance at all times.",
                Parts = [ground.Unchanged(today.Scenario with { Models = [today.Model with { Lanes = [.. today.Model.Lanes.Select(each => each.Lane == Lane.Realtime ? each with { MinInstances = 1 } : each)] }] })],
            };
        }
    }
}
