namespace OrleansInference.Routing;

/// <summary>Assumptions of the quotes that cannot be measured from outside. All are stated with their reason.</summary>
public sealed record RoutingOptions
{
    /// <summary>The defaults.</summary>
    public static RoutingOptions Default { get; } = new();

    /// <summary>How long an instance that a request forced into being is expected to idle before it is released, in ms. SageMaker's scale-in waits 300 s.</summary>
    public long IdleTailMs { get; init; } = 300_000;

    /// <summary>What the async lane adds to every request, in ms: storing input, queueing, fetching the result.</summary>
    public long AsyncOverheadMs { get; init; } = 500;

    /// <summary>Members a batch window is expected to have while fewer are known of.</summary>
    public int AssumedWindowMembers { get; init; } = 16;

    /// <summary>Expected output tokens as a share of the most that the request allows; most answers end early.</summary>
    public double ExpectedOutputShare { get; init; } = 0.25;

    /// <summary>Weight, in samples, of the configured prior while nothing was measured.</summary>
    public double PriorSamples { get; init; } = 25;

    /// <summary>Measured samples after which the prior has no weight left.</summary>
    public double PriorGoneAtSamples { get; init; } = 200;

    /// <summary>A request whose deadline is at least this many starts of an instance away may wait for a slot that is free anyway: if none comes free, one can still be started, late and more than once.</summary>
    public double DeferStarts { get; init; } = 4;

    /// <summary>Share of the deferred work that is expected to find slots which are paid for anyway. Work that is put off never costs more than work that is not.</summary>
    public double ValleyShare { get; init; } = 0.25;

    /// <summary>A request whose expected wait is at most this share of the time that it has can wait; whether it is likely enough to be in time is asked beside.</summary>
    public double PatientShare { get; init; } = 0.75;
}
