using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>What a capacity decision is made from.</summary>
public readonly record struct CapacityObservation
{
    /// <summary>Unix ms.</summary>
    public required long Now { get; init; }

    /// <summary>Instances in service.</summary>
    public int InService { get; init; }

    /// <summary>Requests in flight on slots.</summary>
    public int InFlight { get; init; }

    /// <summary>Requests that wait for a slot, and the backlog of the async lane.</summary>
    public int Waiting { get; init; }
}

/// <summary>Instances wanted and why.</summary>
/// <param name="Desired">Instances.</param>
/// <param name="Reason">In words.</param>
/// <param name="HasChanged">Whether it differs from before.</param>
public readonly record struct CapacityDecision(int Desired, string Reason, bool HasChanged);

/// <summary>A <see cref="CapacityPlan"/> as it is stored.</summary>
public sealed record CapacityPlanState
{
    /// <summary>Instances wanted.</summary>
    [JsonPropertyName("desired")] public int Desired { get; init; }

    /// <summary>Unix ms of the last change.</summary>
    [JsonPropertyName("changedAt")] public long ChangedAt { get; init; }

    /// <summary>Smoothed slots in use.</summary>
    [JsonPropertyName("busy")] public double Busy { get; init; }

    /// <summary>Unix ms of the last observation.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>The most instances needed since <see cref="IdleSince"/>.</summary>
    [JsonPropertyName("peak")] public int Peak { get; init; }

    /// <summary>Unix ms since when fewer than the wanted instances are needed; 0 if all are.</summary>
    [JsonPropertyName("idleSince")] public long IdleSince { get; init; }
}

/// <summary>
/// How many instances an endpoint should have: enough that the busy slots and those waiting fit at a target utilisation.
/// Out at once but at most doubling per step; in only when an instance was not needed for a whole idle tail, as a start
/// costs more than a short idle time. Zero, where the operator allows it, ends with the first request that waits. Not
/// thread-safe.
/// </summary>
public sealed class CapacityPlan
{
    /// <summary>Share of the slots that should be busy: the rest is what keeps queues from forming.</summary>
    public const double TargetUtilisation = 0.7;

    /// <summary>How long an instance must have been unneeded before it is released, in milliseconds; what SageMaker's own scale-in waits.</summary>
    public const long IdleTailMs = 300_000;

    /// <summary>The least time between two changes, in milliseconds.</summary>
    public const long CooldownMs = 10_000;

    // Load follows within half a minute when it falls and at once when it rises.
    private const double FadeMs = 30_000;

    private CapacityPlanState _state;

    /// <summary>Begins with the operator's least, or with what was stored.</summary>
    public CapacityPlan(CapacityPlanState? state = null) => _state = state ?? new();

    /// <summary>Instances wanted now.</summary>
    public int Desired => _state.Desired;

    /// <summary>The plan as it is to be stored.</summary>
    public CapacityPlanState ToState() => _state;

    /// <summary>Decides anew.</summary>
    /// <param name="endpoint">Bounds and concurrency.</param>
    /// <param name="observed">What is going on.</param>
    public CapacityDecision Observe(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        var elapsed = Math.Max(0, observed.Now - _state.At);
        var busy = Math.Max(observed.InFlight, observed.InFlight + ((_state.Busy - observed.InFlight) * Math.Exp(-elapsed / FadeMs)));
        var needed = Needed(endpoint, observed, busy);
        var before = _state.Desired;
        var isIdle = needed < before;
        var idleSince = !isIdle ? 0 : _state.IdleSince == 0 ? observed.Now : _state.IdleSince;
        _state = _state with
        {
            Busy = busy,
            At = observed.Now,
            IdleSince = idleSince,
            Peak = !isIdle ? 0 : _state.IdleSince == 0 ? needed : Math.Max(_state.Peak, needed),
        };

        var least = Math.Min(endpoint.MinInstances, endpoint.MaxInstances);
        if (before < least || before > endpoint.MaxInstances)
        {
            return Change(Math.Clamp(before, least, endpoint.MaxInstances), $"the bounds are {endpoint.MinInstances} to {endpoint.MaxInstances}", observed.Now);
        }

        if (observed.Now - _state.ChangedAt < CooldownMs && _state.ChangedAt <= observed.Now && before > 0)
        {
            return new(before, "changed a moment ago", false);
        }

        if (needed > before)
        {
            return Change(
                Math.Min(needed, Math.Max(1, before * 2)),
                before == 0 ? $"{observed.Waiting} requests wait and nothing is in service" : $"{busy:0.#} busy slots and {observed.Waiting} waiting need {needed} instances at {TargetUtilisation:P0} utilisation",
                observed.Now);
        }

        return isIdle && observed.Now - idleSince >= IdleTailMs
            ? Change(_state.Peak, $"{before - _state.Peak} of {before} instances were not needed for {IdleTailMs / 1000} s", observed.Now)
            : new(before, isIdle ? "waits out the idle tail" : "fits the load", false);
    }

    private static int Needed(EndpointDefinition endpoint, in CapacityObservation observed, double busy)
    {
        // A trace of load that has faded is no load.
        var slots = (busy < 0.05 ? 0 : busy / TargetUtilisation) + observed.Waiting;
        var instances = Math.Ceiling(slots / Math.Max(1, endpoint.ConcurrencyPerInstance));
        return (int)Math.Clamp(instances, Math.Min(endpoint.MinInstances, endpoint.MaxInstances), endpoint.MaxInstances);
    }

    private CapacityDecision Change(int desired, string reason, long now)
    {
        _state = _state with { Desired = desired, ChangedAt = now, IdleSince = 0, Peak = 0 };
        return new(desired, reason, true);
    }
}
