using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Idempotency;
using OrleansInference.Leases;
using OrleansInference.Limits;
using OrleansInference.Routing;
using OrleansInference.Telemetry;

namespace OrleansInference.Dispatch;

/// <summary>Decide → reserve → permit → invoke → settle, on what this silo holds in memory.</summary>
internal sealed partial class Dispatcher(
    RequestPlanner planner,
    KeyedRequests keys,
    Permits permits,
    ModelCaller caller,
    Hedger hedger,
    JobsInLine jobsInLine,
    JobHandOver jobs,
    RouteOutcomes outcomes,
    DecisionLog log,
    RouterClock clock,
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
        ArgumentNullException.ThrowIfNull(request);
        var arrival = new Arrival(request, Manner.Streamed);
        var outcome = await GuardAsync(arrival, cancellationToken);
        if (arrival.Plan?.Stream is not { } stream)
        {
            return new RefusedStream(outcome);
        }

        Interlocked.Increment(ref _inFlight);
        stream.OnEnded = () =>
        {
            arrival.Plan.Place?.Leave();
            Interlocked.Decrement(ref _inFlight);
        };
        stream.Quotas = outcome.Limits;
        return stream;
    }

    /// <inheritdoc/>
    public async Task<InferenceOutcomeOrExplanation> ExplainAsync(InferenceRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        try
        {
            var (plan, problem) = await planner.PlanAsync(request, Manner.Plain, cancellationToken);
            if (plan is null)
            {
                return new() { Problem = problem };
            }

            return new() { Explanation = await planner.ExplainAsync(plan) };
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
        var arrival = new Arrival(request, manner);
        return request.IdempotencyKey is null
            ? GuardAsync(arrival, cancellationToken)
            : ServeKeyedAsync(arrival, cancellationToken);
    }

    /// <summary>A caller who gives up and repeats is to find the answer: once begun, the request goes on without its caller.</summary>
    private async Task<InferenceOutcome> ServeKeyedAsync(Arrival arrival, CancellationToken cancellationToken)
    {
        var run = GuardAsync(arrival, cancellationToken);
        try
        {
            var outcome = await run.WaitAsync(cancellationToken);
            return outcome.JobId is { } jobId && arrival.Plan is { Route.CanDefer: false } plan
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
            var outcome = Count(plan, await TryCandidatesAsync(plan, CancellationToken.None));
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

    private async Task<InferenceOutcome> GuardAsync(Arrival arrival, CancellationToken cancellationToken)
    {
        using var activity = RouterTelemetry.Activities.StartActivity("route");
        activity?.SetTag("model", arrival.Request.Model.Value);
        if (Interlocked.Increment(ref _inFlight) > options.Value.MaxInFlight)
        {
            Interlocked.Decrement(ref _inFlight);
            return InferenceOutcome.Refused(ProblemCode.Throttled, $"{options.Value.MaxInFlight} requests are under way on this silo; come back in a moment.", ComeBack);
        }

        try
        {
            var (plan, problem) = await planner.PlanAsync(arrival.Request, arrival.Manner, cancellationToken);
            if (plan is null)
            {
                return new() { Problem = problem };
            }

            arrival.Plan = plan;
            return plan.Tenant.Limits is { IsEmpty: false } limits
                ? await EnterAsync(plan, limits, cancellationToken)
                : await RunAsync(plan, cancellationToken);
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

    private async ValueTask<InferenceOutcome> EnterAsync(RequestPlan plan, TenantLimits limits, CancellationToken cancellationToken)
    {
        var pass = await limits.EnterAsync(plan.Class, plan.Deadline, cancellationToken);
        if (pass.Refusal is { } refusal)
        {
            outcomes.Arrived(plan.Class);
            outcomes.Failed(null, plan.Class, refusal.Code);
            return new() { Problem = refusal, Limits = limits.Quotas(plan.Class) };
        }

        var place = plan.Place = new(pass);
        try
        {
            return await RunAsync(plan, cancellationToken) with { Limits = limits.Quotas(plan.Class) };
        }
        finally
        {
            // A stream is in flight until it has been read.
            if (plan.Stream is null)
            {
                place.Leave();
            }
        }
    }

    private async ValueTask<InferenceOutcome> RunAsync(RequestPlan plan, CancellationToken cancellationToken)
    {
        if (plan.Request.IdempotencyKey is not null)
        {
            return await RunKeyedAsync(plan, cancellationToken);
        }

        outcomes.Arrived(plan.Class);
        return Count(plan, await TryCandidatesAsync(plan, cancellationToken));
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

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<InferenceOutcome> TryCandidatesAsync(RequestPlan plan, CancellationToken cancellationToken)
    {
        InferenceOutcome? last = null;
        var refusals = 0;
        var isSent = false;
        var lost = new LostCalls(clock, plan.Deadline);
        for (var attempt = 0; attempt < options.Value.MaxAttempts;)
        {
            try
            {
                if (attempt > 0)
                {
                    await planner.RenewAsync(plan);
                }

                var routed = await planner.DecideAsync(plan);
                if (routed.Candidate is not { } candidate)
                {
                    // What went wrong with the candidate that was tried says more than that none is left.
                    return last ?? new() { Problem = routed.Problem };
                }

                var cap = routed.ChargeCap;
                if (routed.IsJob)
                {
                    var route = plan.RouteOn(candidate, routed.Decision, cap, Money.Zero);
                    isSent = plan.Key is null;
                    var submitted = await jobs.SubmitAsync(plan, route, routed, cancellationToken);
                    isSent = false;
                    if (submitted.Problem is { Code: ProblemCode.BudgetExhausted } refusal && routed.Decision.HasRoute && ++refusals <= plan.Table.Candidates.Length)
                    {
                        // As below: the tenant's low-budget policy goes on from here. Under a key it has been said to become a job.
                        await plan.Tenant.LearnShortAsync(cap, (long)(refusal.RetryAfter?.TotalMilliseconds ?? 0));
                        RefusedByLedger(plan, cap);
                        if (plan.Key is not null)
                        {
                            RequestPlanner.RequireJob(plan);
                        }

                        plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1 };
                        continue;
                    }

                    if (submitted.Problem is { Code: ProblemCode.NoCandidate } && routed.Decision.IsDeferred && ++refusals <= plan.Table.Candidates.Length)
                    {
                        // Silos of the release before take no such jobs.
                        if (plan.Key is not null)
                        {
                            RequestPlanner.RequireJob(plan);
                        }

                        plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1, Excluded = plan.Route.Excluded | (1UL << candidate.Index) };
                        last = submitted;
                        continue;
                    }

                    return submitted;
                }

                var money = plan.Key is { } key
                    ? await key.ReserveAsync(plan, plan.RouteOn(candidate, routed.Decision, cap, Money.Zero))
                    : await plan.Tenant.ReserveAsync(cap, plan.Deadline, cancellationToken);
                if (money.Reservation is not { } reservation)
                {
                    if (plan.Key is not null)
                    {
                        RefusedByLedger(plan, cap);
                    }

                    if (plan.Route.Attempt < options.Value.MaxAttempts)
                    {
                        // Now that it is known how much there is, the tenant's low-budget policy has its say.
                        plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1 };
                        continue;
                    }

                    return InferenceOutcome.Refused(
                        ProblemCode.BudgetExhausted,
                        $"Tenant '{plan.Request.Tenant}': {money.Reason ?? $"the budget does not allow {cap} $ more now; wait until it frees or raise it"}.",
                        money.RetryAfterMs > 0 ? TimeSpan.FromMilliseconds(money.RetryAfterMs) : null,
                        plan.RouteOn(candidate, routed.Decision, cap, Money.Zero));
                }

                isSent = true;
                var result = await TryAsync(plan, routed, candidate, reservation, cancellationToken);
                isSent = false;
                if (!result.MayTryAnother)
                {
                    plan.Stream = result.Stream;
                    return result.Outcome;
                }

                last = result.Outcome;
                attempt += result.Tries;
                plan.Route = plan.Route with { Attempt = attempt, Excluded = plan.Route.Excluded | (1UL << candidate.Index) };
                continue;
            }
            catch (Exception exception) when (!isSent && lost.MayRepeat(exception))
            {
                // The ledger, or the key's grain, comes up on another silo. Nothing was sent, and what is reserved under a key is reserved anew.
                if (plan.Key is { IsBound: true })
                {
                    RequestPlanner.RequireJob(plan);
                }
            }

            await lost.PauseAsync(cancellationToken);
        }

        return last ?? InferenceOutcome.Refused(ProblemCode.BudgetExhausted, $"The budget of tenant '{plan.Request.Tenant}' does not allow the request now.", ComeBack);
    }

    private static void RefusedByLedger(RequestPlan plan, Money cap) =>
        plan.Refused = plan.Refused is { } least ? Money.Min(least, cap) : cap;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<TryResult> TryAsync(RequestPlan plan, Routed routed, Candidate candidate, MoneyReservation reservation, CancellationToken cancellationToken)
    {
        var (permitted, refusal) = await permits.AcquireAsync(plan, routed, candidate, reservation, cancellationToken);
        if (permitted is not { } call)
        {
            return refusal;
        }

        return await (plan.Route.Streaming ? caller.StreamAsync(call, cancellationToken)
            : hedger.MayHedge(call) ? hedger.CallAsync(call, cancellationToken)
            : caller.CallAsync(call, cancellationToken));
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

    /// <summary>A request as it came, and its plan once there is one.</summary>
    private sealed class Arrival(InferenceRequest request, Manner manner)
    {
        public InferenceRequest Request { get; } = request;

        public Manner Manner { get; } = manner;

        public RequestPlan? Plan { get; set; }
    }
}
