using System.Collections.Immutable;
using OrleansInference.Latency;
using OrleansInference.Queueing;
using OrleansInference.Routing;
using OrleansInference.Simulator.Decisions;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>A model of the router in the simulated world: decides each request, sends it on its way, and hands out slots.</summary>
internal sealed class RoutedModel
{
    /// <summary>Bytes of a body for each token.</summary>
    public const int BytesPerToken = 4;

    private const int DeferredBit = 1 << 8;
    private const int GivenUpBit = 1 << 9;
    private const int MostAttempts = 2;

    private readonly World _world;
    private readonly RoutedFleet _fleet;
    private readonly RoutedTable _table;
    private readonly RoutedLoads _loads;
    private readonly Quote[] _quotes;
    private readonly TenantRouting[] _tenants;
    private readonly TenantId[] _tenantIds;
    private readonly double[] _minQuality;
    private readonly RoutedBudget?[] _budgets;
    private readonly List<RoutedBudget.Held> _funded = [];
    private readonly List<RoutedBudget.Held> _unfunded = [];
    private bool _isClosing;

    public RoutedModel(World world, int index, RoutedOptions options, FirstRequests first, int firstTimer)
    {
        _world = world;
        var model = world.Scenario.Models[index];
        var configuration = ScenarioCatalog.ConfigurationOf(model, world.Scenario.Classes, variant => first.SecondsOn(index, variant), (variant, _) => !options.FullOnly || variant == model.Full);
        var recorder = new LatencyRecorder(1);
        _tenants = [.. world.Scenario.Tenants.Select(static tenant => new TenantRouting { BestEffort = true, BestEffortProbability = ScenarioCatalog.BestEffortProbabilityOf(tenant.Class), LowBudget = tenant.Budget?.LowBudget ?? [] })];
        _tenantIds = [.. world.Scenario.Tenants.Select(static tenant => new TenantId(ScenarioCatalog.NameOf(tenant.Tenant)))];
        _minQuality = [.. world.Scenario.Tenants.Select(static tenant => tenant.MinQuality)];
        _budgets = [.. world.Scenario.Tenants.Select((tenant, at) => tenant.Budget is { } budget && world.ModelOf[at] == index ? new RoutedBudget(world, at, budget, options) : null)];
        _fleet = new(world, index, configuration, recorder, options, Miss, firstTimer);
        _table = new(world, configuration, recorder, _fleet, options.Silos);
        _loads = new(world, _fleet, _table, _tenantIds, options);
        _quotes = new Quote[_fleet.Count];
    }

    public ImmutableArray<RoutedEndpoint> Endpoints => _fleet.Endpoints;

    public ImmutableArray<RoutedWindows> Windows => _fleet.Windows;

    public IEnumerable<BudgetResult> Budgets => _budgets.OfType<RoutedBudget>().Select(static budget => budget.Result);

    /// <summary>Milliseconds as a whole number, at least 1.</summary>
    public static int ToMs(double milliseconds) => (int)Math.Clamp(milliseconds, 1, int.MaxValue);

    /// <summary>Decides a request and sends it on its way.</summary>
    public void Arrived(int index)
    {
        _table.Refresh();
        Decide(index, 0, 0);
    }

    /// <summary>Decides a request that may not go to some endpoints, after so many attempts.</summary>
    private void Decide(int index, ulong excluded, int attempts)
    {
        ref var request = ref _world.Requests[index];
        var now = _world.NowMs;
        var route = new RouteRequest
        {
            Now = now,
            Deadline = World.ToMs(request.DeadlineUs),
            Class = request.Class,
            PayloadBytes = (long)request.InputTokens * BytesPerToken,
            InputTokens = request.InputTokens,
            MaxOutputTokens = request.OutputTokens,
            MinQuality = _minQuality[request.Tenant],
            CanDefer = request.Class != TrafficClass.High,
            Seed = (ulong)request.Number,
            Excluded = excluded,
            Attempt = attempts,
        };
        var budget = _budgets[request.Tenant];
        var tenant = budget is null ? _tenants[request.Tenant] : _tenants[request.Tenant] with { Pacing = budget.Pacing };
        while (attempts < MostAttempts)
        {
            _loads.Read(request);
            var decision = Router.Decide(_table.Current, route, tenant, _loads.All, _quotes);
            if (_world.Log is { } log)
            {
                log.Decided(request.Number, LoggedDecision.Of(_world.NowUs, Explainer.Explain(_table.Current, route, tenant, decision, _quotes, _tenantIds[request.Tenant])));
            }

            if (!decision.HasRoute)
            {
                if (decision.Outcome == DecisionOutcome.BudgetShort && IsHeld(index, decision, budget!))
                {
                    return;
                }

                TellRefused(route, decision);
                break;
            }

            if (budget?.Reserve(request, decision.ChargeCap, decision.IsDeferred || _table.Current.Candidates[decision.Chosen].Lane is Lane.Async or Lane.Batch) is { } covered)
            {
                // What has just been refused is chosen no more.
                tenant = tenant with { MaxAffordableCap = covered.Cap, Shortage = covered.Shortage };
                continue;
            }

            if (TrySend(index, ref request, route, decision))
            {
                return;
            }

            budget?.Release(request);
            route = route with { Excluded = route.Excluded | (1UL << decision.Chosen), Attempt = 1 };
            attempts++;
        }

        Miss(index);
    }

    /// <summary>Whether a request that its tenant cannot pay for now waits for its money.</summary>
    private bool IsHeld(int index, in Decision decision, RoutedBudget budget)
    {
        if (decision.Held is { } held && budget.TryHold(index, held, decision.SizeClass, _quotes[held].ChargeCap, _quotes[held].ServiceMs))
        {
            return true;
        }

        budget.Refused();
        return false;
    }

    /// <summary>A request is given up.</summary>
    private void Miss(int index)
    {
        ref readonly var request = ref _world.Requests[index];
        _budgets[request.Tenant]?.Release(request);
        _world.Miss(index);
    }

    /// <summary>A call ended: its slot goes to who is next.</summary>
    public void Ended(in Request request, RoutedEndpoint endpoint)
    {
        endpoint.Silos?.End(request, _world.NowMs);
        var sizeClass = request.Mark & (DeferredBit - 1);
        endpoint.Ended(request, sizeClass, _table.Current.Candidates[endpoint.Candidate].Service(sizeClass).Mean, (request.Mark & DeferredBit) != 0);
        _budgets[request.Tenant]?.Settle(request, endpoint.Definition, (_world.NowUs - request.StartedUs) / 1000.0);
        HandOut(endpoint);
    }

    /// <summary>A member of a batch job was served.</summary>
    public void MemberEnded(in Request request, Pool job)
    {
        var endpoint = _fleet.Jobs!.MemberEnded(request, request.Mark & (DeferredBit - 1), job);
        _budgets[request.Tenant]?.Settle(request, endpoint, (_world.NowUs - request.StartedUs) / 1000.0);
    }

    /// <summary>A batch job has ended.</summary>
    public void JobEnded(Pool job) => _fleet.Jobs!.Ended(job);

    /// <summary>The timer of a batch endpoint has come.</summary>
    public void Due(RoutedWindows windows)
    {
        windows.Due();
        _loads.Read(windows);
    }

    public void CapacityChanged(RoutedEndpoint endpoint)
    {
        _table.Changed();
        HandOut(endpoint);
    }

    public void Poll()
    {
        PollBudgets();
        foreach (var endpoint in Endpoints)
        {
            endpoint.Expire();
            endpoint.Poll(_isClosing);
            HandOut(endpoint);
        }

        _table.Poll();
    }

    public void Close() => _isClosing = true;

    private void PollBudgets()
    {
        foreach (var budget in _budgets)
        {
            budget?.Poll(_funded, _unfunded);
        }

        foreach (var held in _unfunded)
        {
            Miss(held.Index);
        }

        foreach (var held in _funded)
        {
            Funded(held);
        }

        _unfunded.Clear();
        _funded.Clear();
    }

    private bool TrySend(int index, ref Request request, in RouteRequest route, in Decision decision)
    {
        ref readonly var quote = ref _quotes[decision.Chosen];
        request.Mark = (request.Mark & GivenUpBit) | decision.SizeClass;
        if (_fleet.WindowsAt(decision.Chosen) is { } windows)
        {
            Join(index, windows);
            return true;
        }

        var endpoint = _fleet.EndpointAt(decision.Chosen)!;
        if (decision.IsDeferred)
        {
            var serviceMs = ToMs(quote.ServiceMs);
            request.Mark |= DeferredBit;
            endpoint.Deferred.Add(index, Math.Max(0, DeferredTurns.LastBegin(World.ToMs(request.DeadlineUs), serviceMs)), serviceMs, _world.NowMs);
            return true;
        }

        endpoint.Demand.Arrived(request.Class, route.Deadline - route.Now - quote.ServiceMs, quote.ServiceMs);
        TellSpilled(route, decision);
        return TryBegin(index, request, decision.Chosen, decision.SizeClass, ToMs(quote.ServiceMs));
    }

    /// <summary>A request that waited for its money has it: its job goes to the endpoint that it was for.</summary>
    private void Funded(RoutedBudget.Held held)
    {
        ref var request = ref _world.Requests[held.Index];
        var serviceMs = _table.Current.Candidates[held.Candidate].Service(held.SizeClass).Mean;
        request.Mark = held.SizeClass;
        if (_fleet.WindowsAt(held.Candidate) is { } windows)
        {
            Join(held.Index, windows);
            return;
        }

        _fleet.EndpointAt(held.Candidate)!.Demand.Arrived(request.Class, held.Deadline - _world.NowMs - serviceMs, serviceMs);
        if (!TryBegin(held.Index, request, held.Candidate, held.SizeClass, ToMs(serviceMs)))
        {
            Miss(held.Index);
        }
    }

    private void Join(int index, RoutedWindows windows)
    {
        windows.Join(index, _world.Requests[index].InputTokens * BytesPerToken);
        _loads.Read(windows);
    }

    /// <summary>Begins a call if there is a slot for it, or has it wait for one; false if it could not be in time.</summary>
    private bool TryBegin(int index, in Request request, int candidate, int sizeClass, int serviceMs)
    {
        var endpoint = _fleet.EndpointAt(candidate)!;
        if (endpoint.HasSlot(request.Class))
        {
            Start(index, endpoint);
            return true;
        }

        var last = _table.Current.Candidates[candidate].LastBegin(sizeClass, World.ToMs(request.DeadlineUs), _world.NowMs);
        var waits = endpoint.TryWait(index, _tenantIds[request.Tenant], request.Class, last, serviceMs, out var givenUp);
        foreach (var other in givenUp)
        {
            ref var given = ref _world.Requests[other];
            if ((given.Mark & GivenUpBit) != 0)
            {
                Miss(other);
                continue;
            }

            given.Mark |= GivenUpBit;
            _budgets[given.Tenant]?.Release(given);
            Decide(other, 1UL << candidate, 1);
        }

        return waits;
    }

    /// <summary>Tells the endpoint that would have been cheapest, had it had a slot.</summary>
    private void TellSpilled(in RouteRequest route, in Decision decision)
    {
        if (route.Attempt == 0 && Spill.CandidateOf(_table.Current, route, decision, _quotes) is >= 0 and var cheaper && _fleet.EndpointAt(cheaper) is { SpillRatio: > 0 } endpoint)
        {
            endpoint.Demand.Spilled(route.Class, _quotes[cheaper].ServiceMs);
        }
    }

    /// <summary>Tells the endpoint that a request which was turned away would have been served on.</summary>
    private void TellRefused(in RouteRequest route, in Decision decision)
    {
        if (decision.Outcome == DecisionOutcome.DeadlineUnreachable && route.Attempt == 0 && RefusedDemand.CandidateOf(_table.Current, route, decision.SizeClass, _quotes) is >= 0 and var wanted)
        {
            var (endpoint, serviceMs) = (_fleet.EndpointAt(wanted)!, _quotes[wanted].ServiceMs);
            if (endpoint.Definition.Lane == Lane.Async)
            {
                endpoint.Demand.Refused(serviceMs);
            }
            else
            {
                endpoint.Demand.Arrived(route.Class, route.Deadline - route.Now - serviceMs, serviceMs);
                endpoint.Demand.TurnedAway();
            }
        }
    }

    private void Start(int index, RoutedEndpoint endpoint)
    {
        endpoint.Silos?.Begin(_world.Requests[index], _world.NowMs);
        _world.Start(index, endpoint.Pool);
    }

    private void HandOut(RoutedEndpoint endpoint)
    {
        var pool = endpoint.Pool;
        while (pool.InUse < endpoint.Slots)
        {
            if (endpoint.TryNext(out var next))
            {
                Start(next, endpoint);
            }
            else if (endpoint.Queue.Count > 0 || !endpoint.HasSlot(TrafficClass.Low) || !TryDeferred(endpoint))
            {
                break;
            }
        }
    }

    /// <summary>Begins a deferred request on a free slot: the endpoint's own, or one of a lesser variant.</summary>
    private bool TryDeferred(RoutedEndpoint endpoint)
    {
        if (endpoint.Definition.Lane == Lane.Serverless)
        {
            // No slot of it is paid for before it is used.
            return false;
        }

        foreach (var other in Endpoints)
        {
            // A cluster's actors each have their own jobs.
            if (other.Deferred.Count == 0 || (other != endpoint && (endpoint.Silos is not null || endpoint.Deferred.Count > 0 || endpoint.Pool.Variant.Quality < other.Pool.Variant.Quality)))
            {
                continue;
            }

            other.Deferred.TryTake(out var request, out _);
            ref var taken = ref _world.Requests[request];
            if (World.ToMs(taken.DeadlineUs) <= _world.NowMs + (_table.Current.Candidates[other.Candidate].Service(taken.Mark & (DeferredBit - 1)).Mean / 2))
            {
                Miss(request);
                return true;
            }

            endpoint.DeferredBegins();
            Start(request, endpoint);
            return true;
        }

        return false;
    }
}
