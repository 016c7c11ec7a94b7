using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Measures;

/// <summary>A model's load, capacity and queue at the end of a step.</summary>
/// <param name="Slots">Slots in service.</param>
/// <param name="InUse">Slots in use.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Missed">Requests that were not answered in time during the step.</param>
public readonly record struct LoadPoint(int Slots, int InUse, int Waiting, int Missed = 0);

/// <summary>The load of each model over time, step by step.</summary>
public sealed class Timeline
{
    /// <summary>Length of a step in microseconds.</summary>
    public const long StepUs = 600_000_000;

    private readonly List<LoadPoint>[] _points;
    private readonly int[] _missed;
    private long _nextUs = StepUs;

    internal Timeline(int models)
    {
        _points = [.. Enumerable.Range(0, models).Select(static _ => new List<LoadPoint>())];
        _missed = new int[models];
    }

    /// <summary>By model, by index, the load at the end of each step.</summary>
    public ImmutableArray<ImmutableArray<LoadPoint>> ByModel => [.. _points.Select(static points => points.ToImmutableArray())];

    /// <summary>A request of a model was not answered in time.</summary>
    internal void Missed(int model) => _missed[model]++;

    /// <summary>Takes down the steps that have ended by a moment.</summary>
    internal void Advance(long us, IReadOnlyList<Pool> pools, IFleetPolicy policy)
    {
        if (us >= _nextUs)
        {
            TakeDown(us, pools, policy);
        }
    }

    private void TakeDown(long us, IReadOnlyList<Pool> pools, IFleetPolicy policy)
    {
        for (; _nextUs <= us; _nextUs += StepUs)
        {
            var points = new LoadPoint[_points.Length];
            foreach (var pool in pools)
            {
                ref var point = ref points[pool.ModelIndex];
                point = new(
                    point.Slots + (pool.LaneDefinition.Lane == Lane.Serverless ? pool.InUse : pool.InService * pool.Concurrency),
                    point.InUse + pool.InUse,
                    point.Waiting + (pool.Members?.Count ?? policy.WaitingFor(pool)));
            }

            for (var model = 0; model < points.Length; model++)
            {
                _points[model].Add(points[model] with { Missed = _missed[model] });
            }

            Array.Clear(_missed);
        }
    }
}
