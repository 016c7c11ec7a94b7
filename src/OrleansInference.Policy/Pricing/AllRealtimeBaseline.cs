using System.Collections.Immutable;

namespace OrleansInference.Pricing;

/// <summary>
/// What a fixed real-time fleet per model, in service over the whole span, would have cost for the same requests. It is no
/// autoscaling, no queue and no deadline that this is compared with. Fed one request at a time, in any order within an hour.
/// </summary>
/// <remarks>
/// A request occupies one slot from its arrival for its service time. Load is the mean concurrency of each second; a
/// minute needs as many instances as its busiest second, at least one. The fleet is sized once for the busiest minute and
/// once for the 99th percentile of the minutes. Shorter spikes than a second are not counted and nothing is added for spare
/// capacity or starts, which makes the baseline cheaper than a fleet that answers in time; it never shrinks when load
/// falls, which makes it dearer than one that scales. Memory is fixed per model. Not safe for concurrent use.
/// </remarks>
public sealed class AllRealtimeBaseline
{
    /// <summary>A request occupies its slot at most this long, in milliseconds; what runs longer is counted as this.</summary>
    public const long MaxServiceMs = 3_600_000;

    private readonly Dictionary<ModelName, ModelLoadHistory> _models = [];

    /// <summary>Adds one request that was answered, on whatever lane.</summary>
    /// <param name="model">The model it was for.</param>
    /// <param name="arrivalMs">Unix ms of arrival, not negative.</param>
    /// <param name="serviceMs">Time it occupied a slot, or would have.</param>
    /// <param name="concurrencyPerInstance">Slots of one real-time instance of the model, at least 1.</param>
    /// <param name="instanceSecondCost">Cost of one second of that instance. The latest value counts for the whole span.</param>
    public void Add(ModelName model, long arrivalMs, long serviceMs, int concurrencyPerInstance, Money instanceSecondCost)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(arrivalMs);
        ArgumentOutOfRangeException.ThrowIfNegative(serviceMs);
        ArgumentOutOfRangeException.ThrowIfLessThan(concurrencyPerInstance, 1);
        if (!_models.TryGetValue(model, out var history))
        {
            _models.Add(model, history = new(arrivalMs / 1000));
        }

        history.Add(arrivalMs, Math.Min(serviceMs, MaxServiceMs), concurrencyPerInstance, instanceSecondCost);
    }

    /// <summary>The baseline over what was added so far.</summary>
    public BaselineReport Report() =>
        new([.. _models.OrderBy(entry => entry.Key.Value, StringComparer.Ordinal).Select(entry => entry.Value.Report(entry.Key))]);
}

/// <summary>The all-real-time baseline of every model.</summary>
/// <param name="Models">By model.</param>
public sealed record BaselineReport(ImmutableArray<ModelBaseline> Models)
{
    /// <summary>Cost of all models' fleets for their busiest minute.</summary>
    public Money CostAtPeak => Models.Aggregate(Money.Zero, (sum, model) => sum + model.CostAtPeak);

    /// <summary>Cost of all models' fleets for the 99th percentile of their minutes.</summary>
    public Money CostAt99 => Models.Aggregate(Money.Zero, (sum, model) => sum + model.CostAt99);
}

/// <summary>The all-real-time baseline of one model.</summary>
/// <param name="Model">The model.</param>
/// <param name="Requests">Requests counted.</param>
/// <param name="SpanMs">First arrival to last end, in whole seconds.</param>
/// <param name="PeakInstances">Instances for the busiest minute.</param>
/// <param name="InstancesAt99">Instances for the 99th percentile of the minutes.</param>
/// <param name="CostAtPeak">Cost of <paramref name="PeakInstances"/> over the span.</param>
/// <param name="CostAt99">Cost of <paramref name="InstancesAt99"/> over the span.</param>
/// <param name="Late">Requests reported more than an hour after newer ones, counted from where the history still begins.</param>
public sealed record ModelBaseline(ModelName Model, long Requests, long SpanMs, int PeakInstances, int InstancesAt99, Money CostAtPeak, Money CostAt99, long Late);
