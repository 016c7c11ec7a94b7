using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>How a job went, with its answer if it has one.</summary>
/// <param name="Outcome">Its route and problem; the body is empty.</param>
/// <param name="Answer">The answer; null if there is a problem.</param>
public sealed record JobResult(InferenceOutcome Outcome, OpenedObject? Answer) : IAsyncDisposable
{
    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Answer?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <summary>A tenant's jobs, for the front door.</summary>
public interface IJobs
{
    /// <summary>The job, waiting at most <paramref name="wait"/> for its end; null if the tenant has none of that id.</summary>
    Task<JobView?> GetAsync(TenantId tenant, string jobId, TimeSpan wait, CancellationToken cancellationToken);

    /// <summary>
    /// The result of a job that succeeded, or the problem of one that ended otherwise, has not ended, or has a result too large to be handed over whole;
    /// null if the tenant has none of that id.
    /// </summary>
    Task<InferenceOutcome?> GetResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken);

    /// <summary>The same, but with a result of any size to be read as it comes; null if the tenant has none of that id. The caller disposes it.</summary>
    Task<JobResult?> OpenResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken);

    /// <summary>Cancels a job unless it has ended; null if the tenant has none of that id.</summary>
    Task<JobView?> CancelAsync(TenantId tenant, string jobId, CancellationToken cancellationToken);
}
