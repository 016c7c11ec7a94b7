using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Jobs;
using OrleansInference.Leases;

namespace OrleansInference.Dispatch;

/// <summary>Hands requests that are decided for the async or the batch lane, or deferred, over to durable jobs.</summary>
internal sealed class JobHandOver(JobsInLine jobsInLine, EndpointAccounts endpoints, RouteOutcomes outcomes, IServiceProvider services)
{
    private static readonly TimeSpan ComeBack = TimeSpan.FromSeconds(1);

    /// <summary>Hands a request over; answers its job, or what became of it if its caller waits in line.</summary>
    /// <param name="plan">The request.</param>
    /// <param name="route">Its route.</param>
    /// <param name="routed">Its decision: if that holds it, the job may wait for its tenant's budget.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    public async Task<InferenceOutcome> SubmitAsync(RequestPlan plan, RouteTaken route, Routed routed, CancellationToken cancellationToken)
    {
        // Resolved late: the job rooms in turn count their outcomes through the dispatcher's.
        if (services.GetService<IJobSubmitter>() is not { } submitter)
        {
            return InferenceOutcome.Refused(ProblemCode.Unavailable, "This silo takes no jobs.", ComeBack, route);
        }

        if (plan.Key is { } key)
        {
            await key.BindAsync();
        }

        outcomes.Sent(route.Lane);
        var submitted = await HandOverAsync(plan, route, routed, submitter, cancellationToken);
        if (submitted.JobId is not { } jobId)
        {
            return submitted with { Route = submitted.Route ?? route };
        }

        plan.IsJob = true;
        return plan.Route.CanDefer || plan.Key is not null ? submitted : await jobsInLine.EndAsync(plan, submitted, jobId, cancellationToken);
    }

    private async Task<InferenceOutcome> HandOverAsync(RequestPlan plan, RouteTaken route, Routed routed, IJobSubmitter submitter, CancellationToken cancellationToken)
    {
        // In a burst many more are decided while this one is being stored: it counts as ahead of them from now on.
        var account = route.Lane == Lane.Async ? endpoints.Get(route.Endpoint) : null;
        account?.JobComing();
        var isNew = false;
        try
        {
            var submitted = await submitter.SubmitAsync(
                new()
                {
                    Request = plan.Request,
                    Route = route,
                    AcceptedAt = plan.ArrivedAt,
                    Deadline = plan.Deadline,
                    SizeClass = Latency.SizeClass.Of(plan.Table.Snapshot.Model.MaxOutputTokens, plan.Route.InputTokens, plan.Route.MaxOutputTokens),
                    MayHold = routed.Decision.Held is not null,
                    ServiceMs = routed.ServiceMs,
                },
                cancellationToken);

            // A repeated key gives the job that there is, by its own decision; it is in the backlog or has ended.
            // One that is held joins the backlog when it has its money.
            isNew = submitted is { JobId: not null, HeldUntil: null } && (submitted.Route is null || submitted.Route.DecisionId == route.DecisionId);
            if (isNew && routed.Decision.IsDeferred)
            {
                endpoints.Get(route.Endpoint).Deferred(routed.ServiceMs);
            }

            return submitted;
        }
        finally
        {
            if (isNew)
            {
                account?.JobBegan(routed.ServiceMs);
            }
            else
            {
                account?.JobRefused();
            }
        }
    }
}
