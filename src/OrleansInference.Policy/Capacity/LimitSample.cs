namespace OrleansInference.Capacity;

/// <summary>What an endpoint's calls did since the last sample. Several samples of the same moment, one of each silo, add up.</summary>
public readonly record struct LimitSample
{
    /// <summary>Unix ms.</summary>
    public required long Now { get; init; }

    /// <summary>Slots that the instances in service offer, 0 or more.</summary>
    public required int Slots { get; init; }

    /// <summary>Calls of the whole endpoint in flight, as far as known.</summary>
    public int InFlight { get; init; }

    /// <summary>Calls that ended.</summary>
    public int Completions { get; init; }

    /// <summary>Of them throttled by the endpoint.</summary>
    public int Throttled { get; init; }

    /// <summary>Of them failed by the endpoint.</summary>
    public int Failed { get; init; }

    /// <summary>Slot-milliseconds that they took.</summary>
    public long BusyMs { get; init; }

    /// <summary>Slot-milliseconds that calls of their sizes were expected to take; 0 if nobody knows. Either all samples tell it or none.</summary>
    public long ExpectedMs { get; init; }
}

/// <summary>A limit after a sample.</summary>
/// <param name="Limit">Slots that may be in use: 1 to the slots there are; 0 if there are none.</param>
/// <param name="HasChanged">Whether the share of the slots changed.</param>
/// <param name="Reason">Why it last changed; empty if it never did.</param>
public readonly record struct LimitDecision(int Limit, bool HasChanged, string Reason);
