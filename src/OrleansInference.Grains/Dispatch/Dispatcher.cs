using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Idempotency;
using OrleansInference.Jobs;
using OrleansInference.Leases;
using OrleansInference.Routing;
using OrleansInference.Telemetry;

namespace OrleansInference.Dispatch;

/// <summary>Decide → reserve → permit → invoke → settle, on what this silo holds in memory.</summary>
internal sealed partial class Dispatcher(
    RequestPlanner planner,
    KeyedRequests keys,
    ModelCaller caller,
    JobsInLine jobsInLine,
    EndpointAccounts endpoints,
    RouteOutcomes outcomes,
    DecisionLog log,
    RouterClock clock,
    IServiceProvider services,
    IOptions<OrleansInferenceOptions> options,
    ILogger<Dispatcher> logger) : IDispatcher
{
    private static readonly TimeSpan ComeBack = TimeSpan.FromSeconds(1);

    private int _inFlight;

    /// <inheritdoc/>
    public Task<InferenceOutcome> InvokeAsync(InferenceRequest request, CancellationToken cancellationToken) =>
        ServeAsync(request, Manner.Plain, cancellationToken);

    /// <inheritdoc/>
    public Task<InferenceOutcome> SubmitAsync(InferenceRequest request, CancellationToken cancellationToken) =>
        ServeAsync(request, Manner.Job, cancellationToken);

    /// <inheritdoc/>
    public async Task<StreamedAnswer> InvokeStreamAsync(InferenceRequest request, CancellationToken cancellationToken)
    {
        StreamedCall? stream = null;
        var outcome = await GuardAsync(
            request,
            async () =>
            {
                var (plan, problem) = await planner.PlanAsync(request, Manner.Streamed);
                if (plan is null)
                {
                    return new() { Problem = problem };
                }

                outcomes.Arrived(plan.Class);
                var result = await TryCandidatesAsync(
                    plan,
                    async call =>
                    {
                        (stream, var failure) = await caller.StreamAsync(call, cancellationToken);
                        return stream is null ? failure : new(new() { Route = call.Route }, false);
                    },
                    cancellationToken);
                return Count(plan, result);
            },
            cancellationToken);
        if (stream is null)
        {
            return new RefusedStream(outcome);
        }

        Interlocked.Increment(ref _inFlight);
        stream.OnEnded = () => Interlocked.Decrement(ref _inFlight);
        return stream;
    }

    /// <inheritdoc/>
    public async Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        try
        {
            var (plan, problem) = await planner.PlanAsync(request, Manner.Plain);
            if (plan is null)
            {
                return new() { Problem = problem };
            }

            var routed = await planner.DecideAsync(plan, isDryRun: true);
            return new() { Explanation = Explainer.Explain(plan.Table, plan.Route, routed.Tenant, routed.Decision, routed.Quotes, request.Tenant) };
        }
        catch (Exception exception)
        {
            return new() { Problem = Translate(exception) };
        }
    }

    /// <inheritdoc/>
    public Explanation? GetDecision(TenantId tenant, string decisionId) => log.Find(tenant, decisionId)?.Explain();

    /// <inheritdoc/>
    public DispatchStatistics GetStatistics() => outcomes.ToStatistics();

    private Task<InferenceOutcome> ServeAsync(InferenceRequest request, Manner manner, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        return request.IdempotencyKey is null
            ? GuardAsync(request, () => RunAsync(request, manner, cancellationToken), cancellationToken)
            : ServeKeyedAsync(request, manner, cancellationToken);
    }

    /// <summary>A caller who gives up and repeats is to find the answer: once begun, the request goes on without its caller.</summary>
    private async Task<InferenceOutcome> ServeKeyedAsync(InferenceRequest request, Manner manner, CancellationToken cancellationToken)
    {
        RequestPlan? plan = null;
        var run = GuardAsync(
            request,
            async () =>
            {
                (plan, var problem) = await planner.PlanAsync(request, manner);
                return plan is null ? new() { Problem = problem } : await RunKeyedAsync(plan, cancellationToken);
            },
            cancellationToken);
        try
        {
            var outcome = await run.WaitAsync(cancellationToken);
            return outcome.JobId is { } jobId && plan is { Route.CanDefer: false }
                ? await jobsInLine.EndAsync(plan, outcome, jobId, cancellationToken) with { IsReplay = outcome.IsReplay }
                : outcome;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up; what has begun goes on, and its outcome is kept under its idempotency key.");
        }
        catch (Exception exception)
        {
            return new() { Problem = Translate(exception) };
        }
    }

    private async Task<InferenceOutcome> RunKeyedAsync(RequestPlan plan, CancellationToken cancellationToken)
    {
        var (key, known) = await keys.BeginAsync(plan, cancellationToken);
        if (key is null)
        {
            if (known is { IsReplay: false, Problem: { } refusal })
            {
                outcomes.Arrived(plan.Class);
                outcomes.Failed(null, plan.Class, refusal.Code);
            }

            return known!;
        }

        plan.Key = key;
        if (key.MustBeJob)
        {
            RequestPlanner.RequireJob(plan);
        }

        ProblemCode? code = null;
        try
        {
            outcomes.Arrived(plan.Class);
            var outcome = Count(plan, await TryCandidatesAsync(plan, call => caller.CallAsync(call, CancellationToken.None), CancellationToken.None));
            code = outcome.Problem?.Code;
            if (outcome.JobId is not null)
            {
                // If this fails the key is still bound to a job, and a repetition finds it.
                await key.CompleteAsync(outcome, 0);
            }

            return outcome;
        }
        finally
        {
            await key.AbandonAsync(code);
        }
    }

    private async Task<InferenceOutcome> GuardAsync(InferenceRequest request, Func<Task<InferenceOutcome>> serve, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        using var activity = RouterTelemetry.Activities.StartActivity("route");
        activity?.SetTag("model", request.Model.Value);
        if (Interlocked.Increment(ref _inFlight) > options.Value.MaxInFlight)
        {
            Interlocked.Decrement(ref _inFlight);
            return InferenceOutcome.Refused(ProblemCode.Throttled, $"{options.Value.MaxInFlight} requests are under way on this silo; come back in a moment.", ComeBack);
        }

        try
        {
            return await serve();
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return InferenceOutcome.Refused(ProblemCode.Cancelled, "The caller gave up.");
        }
        catch (Exception exception)
        {
            return new() { Problem = Translate(exception) };
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    private async Task<InferenceOutcome> RunAsync(InferenceRequest request, Manner manner, CancellationToken cancellationToken)
    {
        var (plan, problem) = await planner.PlanAsync(request, manner);
        if (plan is null)
        {
            return new() { Problem = problem };
        }

        outcomes.Arrived(plan.Class);
        return Count(plan, await TryCandidatesAsync(plan, call => caller.CallAsync(call, cancellationToken), cancellationToken));
    }

    // Jobs that were accepted are counted when they end, also those that are waited for in line.
    private InferenceOutcome Count(RequestPlan plan, InferenceOutcome outcome)
    {
        if (outcome.Problem is { } problem && !plan.IsJob)
        {
            outcomes.Failed(outcome.Route?.Lane, plan.Class, problem.Code);
        }

        return outcome;
    }

    private async Task<InferenceOutcome> TryCandidatesAsync(RequestPlan plan, Func<CallContext, Task<TryResult>> call, CancellationToken cancellationToken)
    {
        InferenceOutcome? last = null;
        var refusals = 0;
        for (var attempt = 0; attempt < options.Value.MaxAttempts;)
        {
            var routed = await planner.DecideAsync(plan);
            planner.Log(plan, routed);
            if (!routed.Decision.HasRoute && routed.Decision.Held is null)
            {
                // What went wrong with the candidate that was tried says more than that none is left.
                return last ?? new() { Problem = RequestPlanner.ProblemOf(plan, routed) };
            }

            var candidate = plan.Table.Candidates[routed.Decision.Held ?? routed.Decision.Chosen];
            var route = new RouteTaken
            {
                DecisionId = plan.DecisionId,
                Class = routed.Decision.Class,
                Lane = candidate.Lane,
                Endpoint = candidate.Endpoint.Name,
                Variant = candidate.Variant,
                ChargeCap = routed.Quotes[candidate.Index].ChargeCap,
                ProbabilityInTime = routed.Decision.ProbabilityInTime,
            };
            if (candidate.Lane is Lane.Async or Lane.Batch)
            {
                var submitted = await SubmitAsync(plan, route, routed.Decision.Held is not null, cancellationToken);
                if (submitted.Problem is { Code: ProblemCode.BudgetExhausted } refusal && routed.Decision.HasRoute && ++refusals <= plan.Table.Candidates.Length)
                {
                    // As below: the tenant's low-budget policy goes on from here. Under a key it has been said to become a job.
                    await plan.Tenant.LearnShortAsync(route.ChargeCap, (long)(refusal.RetryAfter?.TotalMilliseconds ?? 0));
                    RefusedByLedger(plan, route);
                    if (plan.Key is not null)
                    {
                        RequestPlanner.RequireJob(plan);
                    }

                    plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1 };
                    continue;
                }

                return submitted;
            }

            var money = plan.Key is { } key
                ? await key.ReserveAsync(plan, route)
                : await plan.Tenant.ReserveAsync(routed.Decision.ChargeCap);
            if (money.Reservation is not { } reservation)
            {
                if (plan.Key is not null)
                {
                    RefusedByLedger(plan, route);
                }

                if (plan.Route.Attempt < options.Value.MaxAttempts)
                {
                    // Now that it is known how much there is, the tenant's low-budget policy has its say.
                    plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1 };
                    continue;
                }

                return InferenceOutcome.Refused(
                    ProblemCode.BudgetExhausted,
                    $"Tenant '{plan.Request.Tenant}': {money.Reason ?? $"the budget does not allow {routed.Decision.ChargeCap} $ more now; wait until it frees or raise it"}.",
                    money.RetryAfterMs > 0 ? TimeSpan.FromMilliseconds(money.RetryAfterMs) : null,
                    route);
            }

            var result = await TryAsync(plan, routed, candidate, route, reservation, call, cancellationToken);
            if (!result.MayTryAnother)
            {
                return result.Outcome;
            }

            last = result.Outcome;
            attempt++;
            plan.Route = plan.Route with { Attempt = attempt, Excluded = plan.Route.Excluded | (1UL << candidate.Index) };
        }

        return last ?? InferenceOutcome.Refused(ProblemCode.BudgetExhausted, $"The budget of tenant '{plan.Request.Tenant}' does not allow the request now.", ComeBack);
    }

    private static void RefusedByLedger(RequestPlan plan, RouteTaken route) =>
        plan.Refused = plan.Refused is { } least ? Money.Min(least, route.ChargeCap) : route.ChargeCap;

    private async Task<TryResult> TryAsync(
        RequestPlan plan,
        Routed routed,
        Candidate candidate,
        RouteTaken route,
        MoneyReservation reservation,
        Func<CallContext, Task<TryResult>> call,
        CancellationToken cancellationToken)
    {
        HeldLease? slot = null;
        try
        {
            // Waiting so long that the deadline cannot be met helps nobody.
            var latest = plan.Deadline - (long)Math.Min(routed.Quotes[candidate.Index].ServiceMs / 2, (plan.Deadline - plan.Route.Now) / 2);
            slot = await endpoints.Get(candidate.Endpoint.Name).AcquireAsync(plan.Class, candidate.SlotsFor(plan.Class), plan.Deadline, latest, cancellationToken);
        }
        finally
        {
            if (slot is null)
            {
                caller.Released(plan, candidate, reservation, cancellationToken.IsCancellationRequested ? ProblemCode.Cancelled : ProblemCode.Throttled);
            }
        }

        if (slot is null)
        {
            outcomes.Kept(routed.Decision.ProbabilityInTime, false);
            return new(InferenceOutcome.Refused(ProblemCode.Throttled, $"No slot of endpoint {candidate.Endpoint.Name} came free in time; come back in a moment.", ComeBack, route), true);
        }

        return await call(new()
        {
            Plan = plan,
            Decision = routed.Decision,
            Candidate = candidate,
            Money = reservation,
            Slot = slot,
            LongestMs = Math.Max(1, Math.Min(routed.Decision.LongestCallMs, plan.Deadline - clock.Now)),
            Route = route,
        });
    }

    private async Task<InferenceOutcome> SubmitAsync(RequestPlan plan, RouteTaken route, bool mayHold, CancellationToken cancellationToken)
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
        var submitted = await HandOverAsync(plan, route, mayHold, submitter, cancellationToken);
        if (submitted.JobId is not { } jobId)
        {
            return submitted with { Route = submitted.Route ?? route };
        }

        plan.IsJob = true;
        return plan.Route.CanDefer || plan.Key is not null ? submitted : await jobsInLine.EndAsync(plan, submitted, jobId, cancellationToken);
    }

    private async Task<InferenceOutcome> HandOverAsync(RequestPlan plan, RouteTaken route, bool mayHold, IJobSubmitter submitter, CancellationToken cancellationToken)
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
                    MayHold = mayHold,
                },
                cancellationToken);

            // A repeated key gives the job that there is, by its own decision; it is in the backlog or has ended.
            // One that is held joins the backlog when it has its money.
            isNew = submitted is { JobId: not null, HeldUntil: null } && (submitted.Route is null || submitted.Route.DecisionId == route.DecisionId);
            return submitted;
        }
        finally
        {
            if (isNew)
            {
                account?.JobBegan();
            }
            else
            {
                account?.JobRefused();
            }
        }
    }

    private InferenceProblem Translate(Exception exception)
    {
        LogFault(exception);
        return exception is OrleansException or TimeoutException
            ? RequestPlanner.Problem(ProblemCode.Unavailable, "A part of the router is starting, moving or has lost its storage; try again.", ComeBack)
            : RequestPlanner.Problem(ProblemCode.Internal, "The router failed to serve the request; what had not run was not charged.");
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A request could not be served.")]
    private partial void LogFault(Exception exception);
}
