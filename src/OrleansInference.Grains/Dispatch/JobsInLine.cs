using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;
using OrleansInference.Jobs;

namespace OrleansInference.Dispatch;

/// <summary>
/// Waits in line for a job in the name of a caller who does not know of it. Whatever the caller is told, it is told the charge that the ledger
/// took: a job that cannot be waited for any longer is cancelled, and if its end came first then that end counts.
/// </summary>
internal sealed partial class JobsInLine(IServiceProvider services, RouterClock clock, ILogger<JobsInLine> logger)
{
    private const int CancelTries = 3;

    // Wall time. A decided end is visible once it is settled: longer than a ledger that moves to another silo needs.
    private static readonly TimeSpan SettlementPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    /// <summary>The answer of an accepted job, or the problem that it gave none in time; with the charge in any case.</summary>
    public async Task<InferenceOutcome> EndAsync(RequestPlan plan, InferenceOutcome submitted, string jobId, CancellationToken cancellationToken)
    {
        // Resolved late: a silo without jobs has none to wait for.
        if (services.GetService<IJobs>() is not { } jobs)
        {
            return submitted;
        }

        var job = new WaitedJob(jobs, plan.Request.Tenant, jobId, plan.Request.IdempotencyKey is not null);
        var wait = TimeSpan.FromMilliseconds(Math.Max(1, Math.Min(plan.Deadline - clock.Now, plan.Route.InlineWaitMs)));
        var view = await WaitAsync(job, clock.Now + (long)wait.TotalMilliseconds, cancellationToken);
        var isCancelled = false;
        if (view is not { EndedAt: not null } && !job.IsKeyed)
        {
            // Nobody knows of the job: without its end it would be paid for and never read.
            view = await CancelAsync(job);
            isCancelled = view is { State: JobState.Cancelled };
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up.", route: view?.Route ?? submitted.Route);
        }

        if (view is { EndedAt: not null } && !isCancelled)
        {
            return await ResultAsync(job, view, cancellationToken);
        }

        if (view is { EndedAt: not null } || job.IsKeyed)
        {
            return InferenceOutcome.Refused(
                ProblemCode.DeadlineExceeded,
                $"Job '{jobId}' did not end within {wait.TotalSeconds:0.#} s; take the answer as a job (Prefer: respond-async).",
                route: view?.Route ?? submitted.Route);
        }

        return InferenceOutcome.Refused(ProblemCode.Unavailable, $"Whether job '{jobId}' has ended, and what it is charged, cannot be learnt now; ask for the job.", ComeBackIn, submitted.Route) with { JobId = jobId };
    }

    // A silo that dies, or storage that fails, ends a look and not the wait.
    private async Task<JobView?> WaitAsync(WaitedJob job, long until, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await job.Jobs.GetAsync(job.Tenant, job.Id, TimeSpan.FromMilliseconds(Math.Max(0, until - clock.Now)), cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return null;
            }
            catch (Exception exception)
            {
                LogLookFailed(exception, job.Id);
                if (clock.Now >= until)
                {
                    return null;
                }

                await Task.Delay(BetweenTries, clock.TimeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    // What the caller does no longer matters: the job's end is to be known.
    private async Task<JobView?> CancelAsync(WaitedJob job)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                var view = await job.Jobs.CancelAsync(job.Tenant, job.Id, CancellationToken.None);
                return view is { EndedAt: null }
                    ? await job.Jobs.GetAsync(job.Tenant, job.Id, clock.FromWall(SettlementPatience), CancellationToken.None)
                    : view;
            }
            catch (Exception exception)
            {
                LogNotCancelled(exception, job.Id, tries);
                if (tries == CancelTries)
                {
                    return null;
                }

                await Task.Delay(BetweenTries, clock.TimeProvider, CancellationToken.None);
            }
        }
    }

    private async Task<InferenceOutcome> ResultAsync(WaitedJob job, JobView view, CancellationToken cancellationToken)
    {
        try
        {
            return await job.Jobs.GetResultAsync(job.Tenant, job.Id, cancellationToken) is { } result
                ? result with { Route = result.Route ?? view.Route }
                : InferenceOutcome.Refused(ProblemCode.Internal, $"The result of job '{job.Id}' is no longer stored.", route: view.Route);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up.", route: view.Route);
        }
        catch (Exception exception)
        {
            LogNotRead(exception, job.Id);
            return InferenceOutcome.Refused(ProblemCode.UpstreamUnavailable, $"The result of job '{job.Id}' could not be read; ask for the job's result.", ComeBackIn, view.Route) with { JobId = job.Id };
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job} could not be waited for; looking again.")]
    private partial void LogLookFailed(Exception exception, string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Job {Job}, which its caller no longer waits for, could not be cancelled at try {Try}.")]
    private partial void LogNotCancelled(Exception exception, string job, int @try);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The result of job {Job} could not be read for its caller.")]
    private partial void LogNotRead(Exception exception, string job);

    private readonly record struct WaitedJob(IJobs Jobs, TenantId Tenant, string Id, bool IsKeyed);
}
