namespace OrleansInference.Client;

/// <summary>
/// Predictions from a front-end service that is part of the cluster's network: calls go to the dispatcher of a silo, not
/// over HTTP. What a caller may do wrong, and what AWS may do, comes back as <see cref="InferenceOutcome.Problem"/>; an
/// exception means that no silo could be reached or answered in time.
/// </summary>
public interface IInferenceClient
{
    /// <summary>
    /// Serves a request. The outcome is an answer, a job (only if the request says <see cref="Delivery.Either"/>) or a problem.
    /// </summary>
    Task<InferenceOutcome> InvokeAsync(InferenceRequest request, CancellationToken cancellationToken = default);

    /// <summary>Decides a request without running it: every candidate, its numbers and why it lost.</summary>
    Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken = default);

    /// <summary>A job as it stands; null if the tenant has none of that id.</summary>
    Task<JobView?> GetJobAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default);

    /// <summary>Waits until a job has ended, at most <paramref name="timeout"/>, and answers it as it then stands; null if the tenant has none of that id.</summary>
    Task<JobView?> WaitForJobAsync(TenantId tenant, string jobId, TimeSpan timeout, CancellationToken cancellationToken = default);

    /// <summary>The result of a job that succeeded, or the problem of one that did not or has not ended; null if the tenant has none of that id.</summary>
    Task<InferenceOutcome?> GetJobResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default);

    /// <summary>Cancels a job unless it has ended, and answers it as it then stands; null if the tenant has none of that id.</summary>
    Task<JobView?> CancelJobAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes one batch of many records, each a line of JSON: the lines of the request's body, or of the objects below its
    /// <see cref="InferenceRequest.InputLocation"/>. The outcome's job id is that of the batch.
    /// </summary>
    Task<InferenceOutcome> SubmitBatchAsync(InferenceRequest request, CancellationToken cancellationToken = default);

    /// <summary>A batch as it stands, after at most <paramref name="wait"/> (0 to 60 s) for its end; null if the tenant has none of that id.</summary>
    Task<BatchView?> GetBatchAsync(TenantId tenant, string batchId, TimeSpan wait = default, CancellationToken cancellationToken = default);

    /// <summary>The results that are there, as pages of JSON lines in the order of the records; none if the tenant has no batch of that id.</summary>
    IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBatchResultsAsync(TenantId tenant, string batchId, CancellationToken cancellationToken = default);

    /// <summary>Cancels a batch unless it has ended, and answers it as it then stands; null if the tenant has none of that id.</summary>
    Task<BatchView?> CancelBatchAsync(TenantId tenant, string batchId, CancellationToken cancellationToken = default);
}
