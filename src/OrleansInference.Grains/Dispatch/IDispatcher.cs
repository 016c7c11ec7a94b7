using System.Collections.Immutable;
using OrleansInference.Invocation;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>
/// One per silo, in memory: decide → reserve → permit → invoke → settle. Never throws for what a caller may do wrong
/// or for what AWS may do: those are problems in the outcome.
/// </summary>
public interface IDispatcher
{
    /// <summary>Serves a request, or makes it a job where the request allows.</summary>
    Task<InferenceOutcome> InvokeAsync(InferenceRequest request, CancellationToken cancellationToken);

    /// <summary>Serves a request with a streamed answer. The caller disposes the answer, which settles the charge.</summary>
    Task<StreamedAnswer> InvokeStreamAsync(InferenceRequest request, CancellationToken cancellationToken);

    /// <summary>Makes a request a job in any case: the asynchronous operation of the SageMaker dialect.</summary>
    Task<InferenceOutcome> SubmitAsync(InferenceRequest request, CancellationToken cancellationToken);

    /// <summary>Decides a request without running it.</summary>
    Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken);

    /// <summary>The explanation of a decision that was logged on this silo; null if it is not, or no longer, in the log.</summary>
    Explanation? GetDecision(TenantId tenant, string decisionId);

    /// <summary>What this silo has routed since it started.</summary>
    DispatchStatistics GetStatistics();
}

/// <summary>A streamed answer, or the problem that there is none.</summary>
public abstract class StreamedAnswer : IAsyncDisposable
{
    /// <summary>Set if there is no stream.</summary>
    public abstract InferenceProblem? Problem { get; }

    /// <summary>The route; its charge is final after the answer is disposed.</summary>
    public abstract RouteTaken? Route { get; }

    /// <summary>The stream; null if there is a problem.</summary>
    public abstract IModelStream? Stream { get; }

    /// <summary>What is left of the tenant's limits at the door that apply to the request.</summary>
    public virtual ImmutableArray<LimitQuota> Limits => [];

    /// <summary>Ends the call and settles the charge.</summary>
    public abstract ValueTask DisposeAsync();
}

/// <summary>Counts since the silo started. Latencies are of answered requests, in seconds, arrival to answer.</summary>
public sealed record DispatchStatistics
{
    /// <summary>By lane.</summary>
    public required IReadOnlyDictionary<Lane, LaneStatistics> Lanes { get; init; }

    /// <summary>Of the requests that were quoted a probability of being in time, how many were: from the least likely up.</summary>
    public ImmutableArray<CalibrationBin> Calibration { get; init; } = [];

    /// <summary>The same by lane.</summary>
    public IReadOnlyDictionary<Lane, ImmutableArray<CalibrationBin>> CalibrationByLane { get; init; } = ImmutableDictionary<Lane, ImmutableArray<CalibrationBin>>.Empty;

    /// <summary>The same by class.</summary>
    public IReadOnlyDictionary<TrafficClass, ImmutableArray<CalibrationBin>> CalibrationByClass { get; init; } = ImmutableDictionary<TrafficClass, ImmutableArray<CalibrationBin>>.Empty;

    /// <summary>By class.</summary>
    public required IReadOnlyDictionary<TrafficClass, ClassStatistics> Classes { get; init; }
}

/// <summary>One lane's counts.</summary>
/// <param name="Requests">Requests or jobs sent to the lane.</param>
/// <param name="Answered">Of them answered with a prediction.</param>
/// <param name="Charged">Charges settled.</param>
public sealed record LaneStatistics(long Requests, long Answered, Money Charged);

/// <summary>One class's counts.</summary>
/// <param name="Requests">Requests that arrived.</param>
/// <param name="Answered">Answered with a prediction, in line or as a job that succeeded.</param>
/// <param name="InTime">Of them by their deadline.</param>
/// <param name="P50Seconds">Median latency.</param>
/// <param name="P99Seconds">99th percentile of latency.</param>
/// <param name="Errors">Refusals and failures by kind.</param>
public sealed record ClassStatistics(
    long Requests,
    long Answered,
    long InTime,
    double P50Seconds,
    double P99Seconds,
    IReadOnlyDictionary<ProblemCode, long> Errors);
