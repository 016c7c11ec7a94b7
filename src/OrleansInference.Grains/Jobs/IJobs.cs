namespace OrleansInference.Jobs;

/// <summary>A tenant's jobs, for the front door.</summary>
public interface IJobs
{
    /// <summary>The job, waiting at most <paramref name="wait"/> for its end; null if the tenant has none of that id.</summary>
    Task<JobView?> GetAsync(TenantId tenant, string jobId, TimeSpan wait, CancellationToken cancellationToken);

    /// <summary>The result of a job that succeeded, or the problem of one that ended otherwise or has not ended; null if the tenant has none of that id.</summary>
    Task<InferenceOutcome?> GetResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken);

    /// <summary>Cancels a job unless it has ended; null if the tenant has none of that id.</summary>
    Task<JobView?> CancelAsync(TenantId tenant, string jobId, CancellationToken cancellationToken);
}
