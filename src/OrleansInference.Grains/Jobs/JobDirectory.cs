using OrleansInference.Hosting;
using OrleansInference.Payloads;

namespace OrleansInference.Jobs;

/// <summary>A tenant's jobs. A job's key begins with its tenant, so another's cannot be named.</summary>
internal sealed class JobDirectory(IGrainFactory grains, IObjectStore objects, RouterClock clock) : IJobs
{
    /// <summary>Bytes of the largest result that is handed over whole: it is in memory once for everybody who asks, and in a message for a client of the cluster.</summary>
    private const long MostWhole = 64 << 20;

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
        if (await FindResultAsync(tenant, jobId) is not var (outcome, output, view))
        {
            return null;
        }

        if (output is not { } address)
        {
            return outcome;
        }

        if (await objects.GetAsync(address.Bucket, address.Key, MostWhole, cancellationToken) is not { } found)
        {
            return Gone(view);
        }

        return found.Length <= MostWhole
            ? outcome with { Body = found.Body, ContentType = view.ContentType ?? found.ContentType }
            : InferenceOutcome.Refused(
                ProblemCode.PayloadTooLarge,
                $"The result of job '{jobId}' has {found.Length} bytes, and at most {MostWhole} are handed over whole: read it from /v1/jobs/{jobId}/result or '{view.OutputLocation}'.",
                route: view.Route);
    }

    public async Task<JobResult?> OpenResultAsync(TenantId tenant, string jobId, CancellationToken cancellationToken)
    {
        if (await FindResultAsync(tenant, jobId) is not var (outcome, output, view))
        {
            return null;
        }

        if (output is not { } address)
        {
            return new(outcome, null);
        }

        return await objects.OpenAsync(address.Bucket, address.Key, cancellationToken) is { } answer
            ? new(outcome with { ContentType = view.ContentType ?? answer.ContentType }, answer)
            : new(Gone(view), null);
    }

    public async Task<JobView?> CancelAsync(TenantId tenant, string jobId, CancellationToken cancellationToken) =>
        Find(tenant, jobId) is { } job ? await job.Cancel() : null;

    /// <summary>Where the result of a job lies, or the problem in its place; null if the tenant has no such job.</summary>
    private async Task<(InferenceOutcome Outcome, S3Address? Output, JobView View)?> FindResultAsync(TenantId tenant, string jobId)
    {
        var view = Find(tenant, jobId) is { } job ? await job.Get() : null;
        if (view is null)
        {
            return null;
        }

        if (view.State == JobState.Succeeded)
        {
            return S3Address.TryParse(view.OutputLocation, out var output) ? (new() { Route = view.Route }, output, view) : (Gone(view), null, view);
        }

        var outcome = view.Problem is { } problem
            ? new() { Problem = problem, Route = view.Route }
            : InferenceOutcome.Refused(ProblemCode.Unavailable, $"Job '{jobId}' is {view.State}; its result is not there yet.", ComeBackIn, view.Route) with { JobId = jobId };
        return (outcome, null, view);
    }

    private static InferenceOutcome Gone(JobView view) =>
        InferenceOutcome.Refused(ProblemCode.Internal, $"The result of job '{view.JobId}' is no longer at '{view.OutputLocation}'.", route: view.Route);

    private IJobGrain? Find(TenantId tenant, string jobId) =>
        JobAddress.IsId(jobId) && tenant.Value.Length > 0 ? grains.GetGrain<IJobGrain>(new JobAddress(tenant, jobId).Key) : null;
}
