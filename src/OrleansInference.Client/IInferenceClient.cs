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
}
