using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>A <see cref="CapacityPlan"/> as it is stored. What an earlier release stored has fewer fields and is a valid beginning.</summary>
public sealed record CapacityPlanState
{
    /// <summary>Instances wanted.</summary>
    [JsonPropertyName("desired")] public int Desired { get; init; }

    /// <summary>Unix ms of the last change.</summary>
    [JsonPropertyName("changedAt")] public long ChangedAt { get; init; }

    /// <summary>Smoothed slots in use.</summary>
    [JsonPropertyName("busy")] public double Busy { get; init; }

    /// <summary>Requests that came within ten minutes or so.</summary>
    [JsonPropertyName("came")] public double Came { get; init; }

    /// <summary>Of them those that were turned away for want of a slot here and elsewhere.</summary>
    [JsonPropertyName("turnedAway")] public double TurnedAway { get; init; }

    /// <summary>Smoothed slot-milliseconds that arrive in a millisecond, as they were expected to take on arrival.</summary>
    [JsonPropertyName("offered")] public double Offered { get; init; }

    /// <summary>Unix ms of the last observation.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>What is known of arrivals.</summary>
    [JsonPropertyName("forecast")] public DemandForecastState? Forecast { get; init; }

    /// <summary>What is known of the arrivals of <see cref="TrafficClass.High"/>, where the classes are told apart.</summary>
    [JsonPropertyName("urgent")] public DemandForecastState? Urgent { get; init; }

    /// <summary>What is known of idle times.</summary>
    [JsonPropertyName("idleTimes")] public IdleTimesState? IdleTimes { get; init; }

    /// <summary>Since when which instances have not been needed.</summary>
    [JsonPropertyName("idle")] public IReadOnlyList<IdleLevel>? Idle { get; init; }

    /// <summary>Measured time from asking for an instance until it serves, in milliseconds; 0 if none was measured.</summary>
    [JsonPropertyName("leadMs")] public double LeadMs { get; init; }

    /// <summary>Unix ms since when more instances are on their way; 0 if none are.</summary>
    [JsonPropertyName("growingSince")] public long GrowingSince { get; init; }

    /// <summary>Instances that there will be then.</summary>
    [JsonPropertyName("growingTo")] public int GrowingTo { get; init; }

    /// <summary>Unix ms by which the backlog is to be worked off; 0 if there is none.</summary>
    [JsonPropertyName("drainBy")] public long DrainBy { get; init; }

    /// <summary>Unix ms of the last release of instances; 0 if none was.</summary>
    [JsonPropertyName("releasedAt")] public long ReleasedAt { get; init; }

    /// <summary>How many times instances were wanted again soon after their release.</summary>
    [JsonPropertyName("flaps")] public int Flaps { get; init; }

    /// <summary>Unix ms at which somebody else last changed the wanted instances; 0 if nobody did.</summary>
    [JsonPropertyName("adoptedAt")] public long AdoptedAt { get; init; }

    /// <summary>How often somebody else changed them of late.</summary>
    [JsonPropertyName("adoptions")] public int Adoptions { get; init; }
}
