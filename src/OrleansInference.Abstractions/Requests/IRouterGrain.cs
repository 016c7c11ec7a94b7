using System.Collections.Immutable;

namespace OrleansInference;

/// <summary>One candidate of an explanation.</summary>
[GenerateSerializer, Immutable, Alias("oi.CandidateView")]
public sealed record CandidateView
{
    /// <summary>The variant.</summary>
    [Id(0)] public required VariantName Variant { get; init; }

    /// <summary>The endpoint.</summary>
    [Id(1)] public required EndpointName Endpoint { get; init; }

    /// <summary>The lane.</summary>
    [Id(2)] public required Lane Lane { get; init; }

    /// <summary>Whether it was chosen.</summary>
    [Id(3)] public bool Chosen { get; init; }

    /// <summary>The rule that dropped it, or why it was chosen.</summary>
    [Id(4)] public required string Reason { get; init; }

    /// <summary>Predicted median completion in seconds from now.</summary>
    [Id(5)] public double P50Seconds { get; init; }

    /// <summary>Predicted 99th percentile of completion in seconds from now.</summary>
    [Id(6)] public double P99Seconds { get; init; }

    /// <summary>Probability of meeting the deadline, 0..1.</summary>
    [Id(7)] public double ProbabilityInTime { get; init; }

    /// <summary>The most that would be charged.</summary>
    [Id(8)] public Money ChargeCap { get; init; }

    /// <summary>What would probably be charged.</summary>
    [Id(9)] public Money ExpectedCharge { get; init; }

    /// <summary>What serving it would add to the operator's bill.</summary>
    [Id(10)] public Money MarginalCost { get; init; }

    /// <summary>What was minimised, in nano-dollars: marginal cost + pacing × charge + congestion price.</summary>
    [Id(11)] public double Score { get; init; }

    /// <summary>Expected wait for a slot, in seconds; for the batch lane for the window and the records ahead.</summary>
    [Id(12)] public double WaitSeconds { get; init; }

    /// <summary>Expected start of an instance, environment or job, in seconds.</summary>
    [Id(13)] public double ColdStartSeconds { get; init; }

    /// <summary>Expected load of the model into the memory of a shared endpoint, in seconds.</summary>
    [Id(14)] public double ModelLoadSeconds { get; init; }

    /// <summary>Expected service time, in seconds.</summary>
    [Id(15)] public double ServiceSeconds { get; init; }
}

/// <summary>A decision with every candidate and why it lost.</summary>
[GenerateSerializer, Immutable, Alias("oi.Explanation")]
public sealed record Explanation
{
    /// <summary>The decision's id; null for a dry run.</summary>
    [Id(0)] public string? DecisionId { get; init; }

    /// <summary>Who asked.</summary>
    [Id(1)] public required TenantId Tenant { get; init; }

    /// <summary>What was asked.</summary>
    [Id(2)] public required ModelName Model { get; init; }

    /// <summary>Class it was treated as.</summary>
    [Id(3)] public required TrafficClass Class { get; init; }

    /// <summary>Seconds that were left until the deadline when it was decided.</summary>
    [Id(4)] public required double DeadlineSeconds { get; init; }

    /// <summary>Version of the routing snapshot.</summary>
    [Id(5)] public required long SnapshotVersion { get; init; }

    /// <summary>Every candidate.</summary>
    [Id(6)] public ImmutableArray<CandidateView> Candidates { get; init; } = [];

    /// <summary>What would be answered if nothing was chosen.</summary>
    [Id(7)] public InferenceProblem? Problem { get; init; }

    /// <summary>Pacing weight used.</summary>
    [Id(8)] public double Pacing { get; init; }

    /// <summary>What the tenant's low-budget policy does with it in place of a refusal: whether and until when it is held as a job; null if it is not.</summary>
    [Id(9)] public string? Held { get; init; }

    /// <summary>Of a logged decision: whether deciding again from what was logged gave the same decision. Anything but true is a defect. Null for a dry run.</summary>
    [Id(10)] public bool? Replayed { get; init; }
}

/// <summary>The dispatcher of a silo, for callers that are not on one. A stateless worker; any key.</summary>
[Alias("oi.IRouterGrain")]
public interface IRouterGrain : IGrainWithIntegerKey
{
    /// <summary>Serves a request. Waits as long as an in-line answer may take, which is longer than other grain calls.</summary>
    [ResponseTimeout("00:11:00")]
    [Alias("Invoke")] Task<InferenceOutcome> Invoke(InferenceRequest request, CancellationToken cancellationToken = default);

    /// <summary>Decides a request without running it.</summary>
    [Alias("Explain")] Task<InferenceOutcomeOrExplanation> Explain(InferenceRequest request);

    /// <summary>A job of a tenant, waiting at most <paramref name="wait"/> for its end; null if there is none.</summary>
    [ResponseTimeout("00:02:00")]
    [Alias("GetJob")] Task<JobView?> GetJob(TenantId tenant, string jobId, TimeSpan wait);

    /// <summary>The result of a job that succeeded; null if there is none.</summary>
    [Alias("GetJobResult")] Task<InferenceOutcome?> GetJobResult(TenantId tenant, string jobId);

    /// <summary>Cancels a job; null if there is none.</summary>
    [Alias("CancelJob")] Task<JobView?> CancelJob(TenantId tenant, string jobId);

    /// <summary>Makes a batch of the request's body, JSON lines, or of the objects below its <see cref="InferenceRequest.InputLocation"/>; answers its id as that of a job.</summary>
    [ResponseTimeout("00:11:00")]
    [Alias("SubmitBatch")] Task<InferenceOutcome> SubmitBatch(InferenceRequest request);

    /// <summary>A batch of a tenant, waiting at most <paramref name="wait"/> for its end; null if there is none.</summary>
    [ResponseTimeout("00:02:00")]
    [Alias("GetBatch")] Task<BatchView?> GetBatch(TenantId tenant, string batchId, TimeSpan wait);

    /// <summary>A page of the results that are there, from a record on (1 is the first); null if there is no such batch.</summary>
    [Alias("GetBatchResults")] Task<BatchResultPage?> GetBatchResults(TenantId tenant, string batchId, long from);

    /// <summary>Cancels a batch; null if there is none.</summary>
    [Alias("CancelBatch")] Task<BatchView?> CancelBatch(TenantId tenant, string batchId);
}

/// <summary>An explanation, or the reason there is none.</summary>
[GenerateSerializer, Immutable, Alias("oi.InferenceOutcomeOrExplanation")]
public sealed record InferenceOutcomeOrExplanation
{
    /// <summary>The explanation.</summary>
    [Id(0)] public Explanation? Explanation { get; init; }

    /// <summary>Why there is none.</summary>
    [Id(1)] public InferenceProblem? Problem { get; init; }
}
