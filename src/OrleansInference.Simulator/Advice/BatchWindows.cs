using System.Collections.Immutable;
using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>Batch jobs of so few requests that starting them is much of the bill: more hours a job.</summary>
internal sealed class BatchWindows : IAdviser
{
    private const double MuchOfTheBill = 0.1;
    private static readonly ImmutableArray<int> Hours = [3, 8];

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        if (ground.Policy.Vary is not { } vary)
        {
            yield break;
        }

        foreach (var today in ground.Today)
        {
            if (today.Model.LaneOf(Lane.Batch) is not { StartSeconds: > 0 } lane)
            {
                continue;
            }

            var pools = today.PoolsOf(Lane.Batch).ToList();
            var (starts, served, hours) = (pools.Sum(static pool => pool.Starts), pools.Sum(static pool => pool.Served), pools.Sum(static pool => pool.Hours));
            var share = hours > 0 ? starts * lane.StartSeconds / 3600 / hours : 0;
            if (share < MuchOfTheBill)
            {
                continue;
            }

            // Half of the slack is for the job itself and for its turn.
            foreach (var window in Hours.Where(window => 2 * 3600 * window <= ground.Scenario.Classes[(int)TrafficClass.Low].SlackSeconds))
            {
                yield return new()
                {
                    Kind = AdviceKind.BatchWindows,
                    Subject = today.Model.Model,
                    Change = Words.Of($"one job each {window} h"),
                    What = $"Batch jobs of {today.Model.Model} are so small that starting them is much of what they bill.",
                    Why = Words.Of($"{Numbers.Count(served)} requests on {Numbers.Count(starts)} instances of hourly jobs, each billed {Numbers.Duration(lane.StartSeconds)} before it works: {Numbers.Percent(share, 1)} of {Numbers.Dollars(pools.Sum(pool => ground.Monthly(pool.Cost)))} a month."),
                    Do = Words.Of($"Collect the requests of {window} hours for one job."),
                    Models = [today.Index],
                    Parts = [new(today.Scenario, (scenario, cancel) => vary(scenario, new() { JobHours = window }, cancel))],
                };
            }
        }
    }
}
