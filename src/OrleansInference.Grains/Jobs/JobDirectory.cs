using OrleansInference.Hosting;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>A tenant's jobs. A job's key begins with its tenant, so another's cannot be named.</summary>
internal sealed class JobDirectory(IGrainFactory grains, IObjectStore objects, RouterClock clock) : IJobs
{
    // Well within the time a grain call may take.
    private static readonly TimeSpan LongestCall = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    public async Task<JobView?> GetAsync(TenantId tenant, string jobId, TimeSpan wait, CancellationToken cancellationToken)
    {
        if (Find(tenant, jobId) is not { } job)
        {
            return null;
        }

        var until = clock.Now + (long)wait.TotalMilliseconds;
        var slice = (long)clock.FromWall(LongestCall).TotalMilliseconds;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var left = Math.Min(until - clock.Now, slice);
            if (left <= 0)
            {
                return await job.Get();
            }

            // Given up by the caller, the wait goes on in the grain for a moment, which costs a timer.
            var view = await job.WaitForEnd(TimeSpan.FromMilliseconds(left)).WaitAsync(cancellationToken);
            if (view is null || view.EndedAt is not null)
            {
                return view;
            }
        }
    }

    public async Task<InferenceOutcome?> GetResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken)
    {
        var view = Find(tenant, jobId) is { } job ? await job.Get() : null;
        if (view is null)
        {
            return null;
        }

        if (view.State != JobState.Succeeded)
        {
            return view.Problem is { } problem
                ? new() { Problem = problem, Route = view.Route }
                : InferenceOutcome.Refused(ProblemCode.Unavailable, $"Job '{jobId}' is {view.State}; its result is not there yet.", ComeBackIn, view.Route) with { JobId = jobId };
        }

        return S3Address.TryParse(view.OutputLocation, out var output) && await objects.GetAsync(output.Bucket, output.Key, cancellationToken) is { } result
            ? new() { Body = result.Body, ContentType = view.ContentType ?? result.ContentType, Route = view.Route }
            : InferenceOutcome.Refused(ProblemCode.Internal, $"The result of job '{jobId}' is no longer at '{view.OutputLocation}'.", route: view.Route);
    }

    public async Task<JobView?> CancelAsync(TenantId tenant, string jobId, CancellationToken cancellationToken) =>
        Find(tenant, jobId) is { } job ? await job.Cancel() : null;

    private IJobGrain? Find(TenantId tenant, string jobId) =>
        JobAddress.IsId(jobId) && tenant.Value.Length > 0 ? grains.GetGrain<IJobGrain>(new JobAddress(tenant, jobId).Key) : null;
}
