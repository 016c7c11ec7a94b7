using Microsoft.Extensions.Options;
using OrleansInference.Hosting;
using OrleansInference.Jobs;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>What a caller's way of asking allows.</summary>
internal enum Manner
{
    /// <summary>In line, or as <see cref="InferenceRequest.Delivery"/> says.</summary>
    Plain = 0,

    /// <summary>A streamed answer.</summary>
    Streamed = 1,

    /// <summary>As a job in any case.</summary>
    Job = 2,
}

/// <summary>Checks requests and decides their routes from what this silo knows.</summary>
internal sealed class RequestPlanner(
    TenantAccounts tenants,
    RoutingDirectory directory,
    DecisionLog log,
    RouteOutcomes outcomes,
    RouterClock clock,
    IOptions<OrleansInferenceOptions> options,
    IWebhooks? webhooks = null)
{
    private const int OwnJobLanes = (1 << (int)Lane.Async) | (1 << (int)Lane.Batch);
    private const int DeferringLane = 1 << (int)Lane.Realtime;
    private const int JobLanes = OwnJobLanes | DeferringLane;
    private const int AllLanes = 0b1111;

    private static readonly TimeSpan LeastWait = TimeSpan.FromSeconds(1);
    private static readonly ClassDeadlines DefaultDeadlines = new();

    /// <summary>The plan, or the problem that there is none.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public async ValueTask<(RequestPlan? Plan, InferenceProblem? Problem)> PlanAsync(InferenceRequest request, Manner manner, CancellationToken cancellationToken = default)
    {
        var now = clock.Now;
        if (RequestValidation.Check(request, options.Value) is { } invalid)
        {
            return Refuse(request, invalid);
        }

        if (request.IdempotencyKey is not null && manner == Manner.Streamed)
        {
            return Refuse(request, Problem(ProblemCode.InvalidRequest, "An idempotency key and a streamed answer do not go together: leave the key out, or take the answer in one piece."));
        }

        var lanes = LanesFor(request, manner);

        TenantAccount? tenant;
        var lost = new LostCalls(clock, now + DeadlineOf(request, request.Class ?? TrafficClass.High));
        while (true)
        {
            try
            {
                tenant = await tenants.GetAsync(request.Tenant);
                break;
            }
            catch (Exception exception) when (lost.MayRepeat(exception))
            {
                // Its ledger comes up on another silo.
            }

            await lost.PauseAsync(cancellationToken);
        }

        if (tenant is not { Definition: { } definition })
        {
            return Refuse(request, Problem(ProblemCode.UnknownTenant, $"There is no tenant '{request.Tenant}'."));
        }

        var isAllowed = definition.Models.IsDefaultOrEmpty || definition.Models.Contains(request.Model);
        ModelRoutes? routes = null;
        lost = new(clock, now + DeadlineOf(request, (TrafficClass)Math.Max((int)(request.Class ?? definition.DefaultClass), (int)definition.ClassCeiling)));
        while (isAllowed)
        {
            try
            {
                routes = await directory.GetAsync(request.Model, now);
                break;
            }
            catch (Exception exception) when (lost.MayRepeat(exception))
            {
                // As above.
            }

            await lost.PauseAsync(cancellationToken);
        }

        if (routes is null)
        {
            return Refuse(request, Problem(ProblemCode.UnknownModel, $"There is no model '{request.Model}' for tenant '{request.Tenant}'."));
        }

        if (request.ReplyTo?.Webhook is { } webhook && await ProblemOfWebhookAsync(request.Tenant, webhook) is { } unreachable)
        {
            return Refuse(request, Problem(ProblemCode.InvalidRequest, unreachable));
        }

        var table = routes.Table;
        if ((lanes == 0 || (lanes == DeferringLane && !table.Candidates.Any(static candidate => candidate.Endpoint.TakesDeferred))) && NeedsJob(request, manner))
        {
            return Refuse(request, Problem(ProblemCode.NoCandidate, "The request is to become a job (it was sent as one, or names its input by address), but its lanes exclude the lanes of jobs; allow Async or Batch, or Realtime where the model has an endpoint that serves deferred work."));
        }

        var byDefault = definition.DefaultClass;
        if (request is { Class: null, Deadline: null } && NeedsJob(request, manner) && byDefault == TrafficClass.High)
        {
            // Who sends a request as a job, or its input by address, is not waiting for the answer: the deadline of a user-facing call would refuse it at once.
            byDefault = TrafficClass.Medium;
        }

        var trafficClass = (TrafficClass)Math.Max((int)(request.Class ?? byDefault), (int)definition.ClassCeiling);
        var toDeadline = request.Deadline is { } own ? (long)Math.Ceiling(own.TotalMilliseconds) : table.Snapshot.Deadlines.MillisecondsOf(trafficClass);
        var canDefer = manner == Manner.Job || (manner == Manner.Plain && request.Delivery == Delivery.Either);
        var id = log.NextId(out var seed);
        var most = table.Snapshot.Model.MaxOutputTokens;
        return (new()
        {
            Request = request,
            Tenant = tenant,
            Definition = definition,
            Routes = routes,
            ArrivedAt = now,
            Deadline = now + toDeadline,
            Class = trafficClass,
            DecisionId = id,
            Route = new()
            {
                Now = now,
                Deadline = now + toDeadline,
                Class = trafficClass,
                PayloadBytes = request.Body.Length,
                InputTokens = request.InputTokens ?? ModelUse.Estimate(request.Body.Length),
                MaxOutputTokens = Math.Min(request.MaxOutputTokens ?? most, most),
                MinQuality = request.MinQuality ?? definition.MinQuality,
                MaxCharge = request.MaxCharge,
                LaneMask = lanes,
                Streaming = manner == Manner.Streamed,
                CanDefer = canDefer,
                AsJob = NeedsJob(request, manner),
                InlineWaitMs = canDefer || manner == Manner.Streamed ? 0 : (long)options.Value.InlineWait.TotalMilliseconds,
                Seed = seed,
            },
        }, null);
    }

    /// <summary>Leaves the lanes of jobs alone, for a request that may be a job already.</summary>
    public static void RequireJob(RequestPlan plan)
    {
        var lanes = plan.Route.LaneMask == 0 ? AllLanes : plan.Route.LaneMask;

        // No lane at all would mean any.
        plan.Route = plan.Route with { LaneMask = (lanes & OwnJobLanes) != 0 ? lanes & JobLanes : JobLanes, AsJob = true };
    }

    /// <summary>Takes the model's routes of this moment, if they have changed since the request was last decided.</summary>
    public async ValueTask RenewAsync(RequestPlan plan)
    {
        try
        {
            if (await directory.GetAsync(plan.Request.Model, clock.Now) is { } routes && routes != plan.Routes)
            {
                plan.Renew(routes);
            }
        }
        catch (Exception exception) when (LostCalls.IsOne(exception))
        {
            // Those in hand serve on.
        }
    }

    /// <summary>
    /// Decides from what is known now, and keeps the decision for whoever asks why. Before a request is turned away or held for lack
    /// of money, the ledger is asked what there is at this moment: what was known may be a second old, and the last cent is there to be spent.
    /// </summary>
    public ValueTask<Routed> DecideAsync(RequestPlan plan)
    {
        var now = clock.Now;
        var routed = Decide(plan, plan.Tenant.Known(now), now, isLast: false);
        return routed.Decision.Outcome == DecisionOutcome.BudgetShort
            // Of one that is to be held, what counts is when its job's money comes.
            ? DecideAskingAsync(plan, plan.OfAll(routed.Decision.Held is null ? routed.Decision.CapNeeded : routed.ChargeCap))
            : new(routed);
    }

    /// <summary>As <see cref="DecideAsync"/>, by what the ledger says at this moment that there is for an amount.</summary>
    public async ValueTask<Routed> DecideAskingAsync(RequestPlan plan, Money needed) =>
        Decide(plan, await plan.Tenant.AskAffordableAsync(needed, plan.Refused), clock.Now, isLast: true);

    /// <summary>As <see cref="DecideAsync"/> for a second try, which is left be unless what is known allows it: that is no refusal to be kept.</summary>
    public Routed DecideHedge(RequestPlan plan)
    {
        var now = clock.Now;
        return Decide(plan, plan.Tenant.Known(now), now, isLast: false);
    }

    private Routed Decide(RequestPlan plan, Affordable affordable, long now, bool isLast)
    {
        plan.DecideAt(now);
        var candidates = plan.Table.Candidates;
        Span<CandidateLoad> loads = stackalloc CandidateLoad[candidates.Length];
        Span<Quote> quotes = stackalloc Quote[candidates.Length];
        plan.Routes.ReadLoads(loads, plan.Route, plan.Request.Tenant, plan.Definition.Weight);
        var tenant = TenantOf(plan, affordable);
        var decision = Router.Decide(plan.Table, plan.Route, tenant, loads, quotes);
        if (decision.Outcome == DecisionOutcome.BudgetShort && !isLast)
        {
            return new(decision, null, decision.Held is { } held ? quotes[held].ChargeCap : Money.Zero, 0, null);
        }

        if (plan.HedgeOf is not null ? decision.HasRoute : !decision.HasRoute || (plan.IsLogged ??= log.Samples(now)))
        {
            log.Add(new(plan.DecisionId, plan.Request.Tenant, plan.Table, plan.Route, tenant, loads, decision));
        }

        if (decision.Outcome == DecisionOutcome.DeadlineUnreachable && plan.HedgeOf is null && plan.Route.Attempt == 0
            && RefusedDemand.CandidateOf(plan.Table, plan.Route, decision.SizeClass, quotes) is >= 0 and var wanted)
        {
            TellRefused(plan, candidates[wanted], quotes[wanted].ServiceMs, now);
        }

        if (decision is { HasRoute: true, IsDeferred: false } && plan is { HedgeOf: null, Route.Attempt: 0, IsSpillTold: false })
        {
            plan.IsSpillTold = true;
            if (Spill.CandidateOf(plan.Table, plan.Route, decision, quotes) is >= 0 and var cheaper)
            {
                plan.Routes.AccountOf(candidates[cheaper]).Spilled(plan.Class, quotes[cheaper].ServiceMs);
            }
        }

        return (decision.Held ?? decision.Chosen) is >= 0 and var index
            ? new(decision, candidates[index], quotes[index].ChargeCap, quotes[index].ServiceMs, null)
            : new(decision, null, Money.Zero, 0, ProblemOf(plan, tenant, decision, quotes));
    }

    private static void TellRefused(RequestPlan plan, Candidate wanted, double serviceMs, long now)
    {
        var account = plan.Routes.AccountOf(wanted);
        if (wanted.Lane == Lane.Async)
        {
            account.JobTurnedAway(serviceMs);
        }
        else
        {
            account.Refused(plan.Class, plan.Route.Deadline - now - serviceMs, serviceMs);
        }
    }

    /// <summary>As <see cref="DecideAsync"/>, but only to explain it: as nothing is reserved, the ledger is asked whether the budget covers the choice.</summary>
    public async ValueTask<Explanation> ExplainAsync(RequestPlan plan)
    {
        var (decision, quotes, explanation) = DecideAndExplain(plan, plan.Tenant.Known(clock.Now));
        if (decision.HasRoute)
        {
            // Jobs reserve in the ledger itself: money on this silo's lease is of no use to them.
            plan.Refused = decision.IsDeferred || plan.Table.Candidates[decision.Chosen].Lane is Lane.Async or Lane.Batch ? decision.ChargeCap : null;
            (decision, quotes, explanation) = DecideAndExplain(plan, await plan.Tenant.AskAffordableAsync(decision.ChargeCap, plan.Refused));
        }

        if (decision.Outcome == DecisionOutcome.BudgetShort)
        {
            var needed = decision.Held is { } job ? quotes[job].ChargeCap : decision.CapNeeded;
            (_, _, explanation) = DecideAndExplain(plan, await plan.Tenant.AskAffordableAsync(needed, plan.Refused));
        }

        return explanation;
    }

    private (Decision Decision, Quote[] Quotes, Explanation Explanation) DecideAndExplain(RequestPlan plan, Affordable affordable)
    {
        var now = clock.Now;
        plan.DecideAt(now);
        var loads = new CandidateLoad[plan.Table.Candidates.Length];
        var quotes = new Quote[loads.Length];
        plan.Routes.ReadLoads(loads, plan.Route, plan.Request.Tenant, plan.Definition.Weight);
        var tenant = TenantOf(plan, affordable);
        var decision = Router.Decide(plan.Table, plan.Route, tenant, loads, quotes);
        return (decision, quotes, Explainer.Explain(plan.Table, plan.Route, tenant, decision, quotes, plan.Request.Tenant));
    }

    /// <summary>The refusal that a decision without a route means.</summary>
    private static InferenceProblem ProblemOf(RequestPlan plan, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        var problem = Explainer.ProblemOf(plan.Table, plan.Route, tenant, decision, quotes)! with { DecisionId = plan.DecisionId };
        if (problem.Code == ProblemCode.NoCandidate && plan.Key is { MustBeJob: true })
        {
            return problem with { Message = $"{problem.Message} It may be a job already under its idempotency key: allow the async or batch lane." };
        }

        // A moment at least, so that those who wait for the same money do not all ask at once.
        return problem is { Code: ProblemCode.BudgetExhausted, RetryAfter: { } wait } && wait < LeastWait
            ? problem with { RetryAfter = LeastWait }
            : problem;
    }

    public static InferenceProblem Problem(ProblemCode code, string message, TimeSpan? retryAfter = null) =>
        new() { Code = code, Message = message, RetryAfter = retryAfter };

    private static TenantRouting TenantOf(RequestPlan plan, Affordable affordable) =>
        TenantRouting.From(plan.Definition, plan.Tenant.Pacing, plan.OfEach(affordable.Cap)) with { Shortage = affordable.Shortage };

    private static int LanesFor(InferenceRequest request, Manner manner)
    {
        var lanes = request.LaneMask;
        if (NeedsJob(request, manner))
        {
            var jobs = request.InputLocation is null ? JobLanes : 1 << (int)Lane.Async;
            return (lanes == 0 ? AllLanes : lanes) & jobs;
        }

        return lanes;
    }

    // Until its model's routes are known, the catalog's own defaults are not.
    private static long DeadlineOf(InferenceRequest request, TrafficClass trafficClass) =>
        request.Deadline is { } own ? (long)Math.Ceiling(own.TotalMilliseconds) : DefaultDeadlines.MillisecondsOf(trafficClass);

    private static bool NeedsJob(InferenceRequest request, Manner manner) =>
        manner == Manner.Job || request.InputLocation is not null;

    private ValueTask<string?> ProblemOfWebhookAsync(TenantId tenant, string url) =>
        webhooks?.FindProblemAsync(tenant, url) ?? new("This deployment posts no webhooks.");

    private (RequestPlan?, InferenceProblem?) Refuse(InferenceRequest request, InferenceProblem problem)
    {
        var trafficClass = request.Class is { } declared && Enum.IsDefined(declared) ? declared : TrafficClass.High;
        outcomes.Arrived(trafficClass);
        outcomes.Failed(null, trafficClass, problem.Code);
        return (null, problem);
    }
}
