namespace OrleansInference.Routing;

/// <summary>Everything about a request that a decision depends on. Times are Unix milliseconds.</summary>
public readonly record struct RouteRequest
{
    /// <summary>The moment of the decision.</summary>
    public required long Now { get; init; }

    /// <summary>When the answer becomes worthless.</summary>
    public required long Deadline { get; init; }

    /// <summary>Declared class; <see cref="TenantRouting.ClassCeiling"/> may lower it.</summary>
    public required TrafficClass Class { get; init; }

    /// <summary>Bytes of the body.</summary>
    public long PayloadBytes { get; init; }

    /// <summary>Input tokens, known or estimated.</summary>
    public int InputTokens { get; init; }

    /// <summary>The most output tokens of the answer (the model's maximum where the caller named none).</summary>
    public int MaxOutputTokens { get; init; }

    /// <summary>Lowest acceptable quality, 0..1.</summary>
    public double MinQuality { get; init; }

    /// <summary>The most the request may be charged; null: no limit of its own. A candidate whose charge cap is above is dropped: the cap is not lowered to fit, for the call would be cut short in its midst.</summary>
    public Money? MaxCharge { get; init; }

    /// <summary>Allowed lanes, bits 1 &lt;&lt; lane; 0 means any.</summary>
    public int LaneMask { get; init; }

    /// <summary>Whether the answer must be streamed.</summary>
    public bool Streaming { get; init; }

    /// <summary>Whether the caller takes a job id instead of an answer; without it the async and batch lanes must answer within <see cref="InlineWaitMs"/>.</summary>
    public bool CanDefer { get; init; }

    /// <summary>Whether the answer comes as a job in any case: real-time slots then serve it as deferred work only.</summary>
    public bool AsJob { get; init; }

    /// <summary>The longest that a caller who takes no job may be kept waiting for an async or batch lane; 0: those lanes are closed to it.</summary>
    public long InlineWaitMs { get; init; }

    /// <summary>Breaks ties; the same seed gives the same decision.</summary>
    public ulong Seed { get; init; }

    /// <summary>Candidates not to use again, bits 1 &lt;&lt; index: those that failed this request before.</summary>
    public ulong Excluded { get; init; }

    /// <summary>0 for the first try, counting up with each fallback.</summary>
    public int Attempt { get; init; }
}
