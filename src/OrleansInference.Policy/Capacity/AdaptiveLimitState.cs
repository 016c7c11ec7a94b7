using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>An <see cref="AdaptiveLimit"/> as it is stored. Times in milliseconds, moments in Unix ms.</summary>
public sealed record AdaptiveLimitState
{
    /// <summary>The part of the slots that may be in use, above 0 and at most 1.</summary>
    [JsonPropertyName("share")] public double Share { get; init; } = 1;

    /// <summary>Natural logarithm of the service time that is normal (of its ratio to what was expected, if that is known).</summary>
    [JsonPropertyName("baseline")] public double Baseline { get; init; }

    /// <summary>Variance of the logarithm of a window's mean, from window to window.</summary>
    [JsonPropertyName("variance")] public double Variance { get; init; }

    /// <summary>Windows that the baseline was learnt from; counted up to a bound.</summary>
    [JsonPropertyName("windows")] public int Windows { get; init; }

    /// <summary>Whether the baseline is of ratios to expected service times.</summary>
    [JsonPropertyName("relative")] public bool IsRelative { get; init; }

    /// <summary>Inflated windows one after the other.</summary>
    [JsonPropertyName("inflated")] public int Inflated { get; init; }

    /// <summary>Logarithm of the service time when it was first found inflated.</summary>
    [JsonPropertyName("inflatedTo")] public double InflatedTo { get; init; }

    /// <summary>The share at that time.</summary>
    [JsonPropertyName("inflatedAt")] public double InflatedAtShare { get; init; } = 1;

    /// <summary>Until when no call that ends says anything about the present share.</summary>
    [JsonPropertyName("hold")] public long HoldUntil { get; init; }

    /// <summary>When the present window began; 0 before the first.</summary>
    [JsonPropertyName("from")] public long WindowFrom { get; init; }

    /// <summary>Ends in the present window.</summary>
    [JsonPropertyName("ends")] public long Completions { get; init; }

    /// <summary>Of them throttled.</summary>
    [JsonPropertyName("throttled")] public long Throttled { get; init; }

    /// <summary>Of them failed.</summary>
    [JsonPropertyName("failed")] public long Failed { get; init; }

    /// <summary>Slot-milliseconds of them.</summary>
    [JsonPropertyName("busy")] public long BusyMs { get; init; }

    /// <summary>What they were expected to take; 0 if unknown.</summary>
    [JsonPropertyName("expected")] public long ExpectedMs { get; init; }

    /// <summary>The most seen in flight in the present window.</summary>
    [JsonPropertyName("inFlight")] public int MostInFlight { get; init; }

    /// <summary>Why the share last changed.</summary>
    [JsonPropertyName("reason")] public string Reason { get; init; } = "";
}
