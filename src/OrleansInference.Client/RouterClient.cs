using System.Runtime.CompilerServices;

namespace OrleansInference.Client;

/// <summary>Calls a silo's router grain: a stateless worker, so that the first silo at hand serves.</summary>
internal sealed class RouterClient(IGrainFactory grains, TimeProvider timeProvider) : IInferenceClient
{
    // One long poll is kept below the cluster's usual response timeout of 30 s.
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(20);

    private IRouterGrain Router => grains.GetGrain<IRouterGrain>(0);

    public Task<InferenceOutcome> InvokeAsync(InferenceRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Router.Invoke(request, cancellationToken);
    }

    public Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Router.Explain(request).WaitAsync(cancellationToken);
    }

    public Task<JobView?> GetJobAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(jobId);
        return Router.GetJob(tenant, jobId, TimeSpan.Zero).WaitAsync(cancellationToken);
    }

    public async Task<JobView?> WaitForJobAsync(TenantId tenant, string jobId, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(jobId);
        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        var start = timeProvider.GetTimestamp();
        while (true)
        {
            var left = timeout - timeProvider.GetElapsedTime(start);
            var poll = left < TimeSpan.Zero ? TimeSpan.Zero : left < LongestPoll ? left : LongestPoll;
            var job = await Router.GetJob(tenant, jobId, poll).WaitAsync(cancellationToken);
            if (job is null || job.State >= JobState.Succeeded || left <= LongestPoll)
            {
                return job;
            }
        }
    }

    public Task<InferenceOutcome?> GetJobResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(jobId);
        return Router.GetJobResult(tenant, jobId).WaitAsync(cancellationToken);
    }

    public Task<JobView?> CancelJobAsync(TenantId tenant, string jobId, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(jobId);
        return Router.CancelJob(tenant, jobId).WaitAsync(cancellationToken);
    }

    public Task<InferenceOutcome> SubmitBatchAsync(InferenceRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Router.SubmitBatch(request).WaitAsync(cancellationToken);
    }

    public Task<BatchView?> GetBatchAsync(TenantId tenant, string batchId, TimeSpan wait = default, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(batchId);
        ArgumentOutOfRangeException.ThrowIfLessThan(wait, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wait, TimeSpan.FromSeconds(60));
        return Router.GetBatch(tenant, batchId, wait).WaitAsync(cancellationToken);
    }

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBatchResultsAsync(TenantId tenant, string batchId, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(batchId);
        for (long? from = 1; from is { } next;)
        {
            var page = await Router.GetBatchResults(tenant, batchId, next).WaitAsync(cancellationToken);
            if (page is { Lines.IsEmpty: false })
            {
                yield return page.Lines;
            }

            from = page?.Next;
        }
    }

    public Task<BatchView?> CancelBatchAsync(TenantId tenant, string batchId, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(batchId);
        return Router.CancelBatch(tenant, batchId).WaitAsync(cancellationToken);
    }
}
