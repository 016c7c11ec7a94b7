using System.Collections.Immutable;
using OrleansInference.Capacity;
using OrleansInference.Latency;
using OrleansInference.Queueing;
using OrleansInference.Routing;
using OrleansInference.Simulator.Decisions;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>A model of the router in the simulated world: decides each request, hands out slots, and keeps its statistics.</summary>
internal sealed class RoutedModel
{
    /// <summary>Bytes of a body for each token.</summary>
    public const int BytesPerToken = 4;

    private const long MostPublishMs = 600_000;
    private const int DeferredBit = 1 << 8;
    private const int GivenUpBit = 1 << 9;
    private const int MostAttempts = 2;

    private readonly World _world;
    private readonly LatencyRecorder _recorder = new(1);
    private readonly LatencyStatistics _statistics = new();
    private readonly ModelConfiguration _configuration;
    private readonly CandidateLoad[] _loads;
    private readonly Quote[] _quotes;
    private readonly TenantRouting[] _tenants;
    private readonly TenantId[] _tenantIds;
    private readonly double[] _minQuality;
    private readonly RoutedBudget?[] _budgets;
    private readonly List<RoutedBudget.Held> _funded = [];
    private readonly List<RoutedBudget.Held> _unfunded = [];
    private readonly RoutedEndpoint?[] _endpointAt;
    private readonly RoutedWindows?[] _windowsAt;
    private readonly RoutedJobs? _jobs;
    private readonly bool _defers;
    private readonly bool _seesWindows;
    private readonly long _publishMs;
    private RoutingTable _table;
    private long _sequence;
    private long _version;
    private long _publishAt;
    private bool _isStale;
    private bool _isClosing;

    public RoutedModel(World world, int index, RoutedOptions options, FirstRequests first, int firstTimer)
    {
        // A cluster's silos are not told of the open windows.
        (_world, _defers, _seesWindows) = (world, options.ValleyFilling, options.Silos == 0);

        // A cluster's silos are told at once what was measured; the many that a trace has make that dear, and little different.
        _publishMs = options.Silos > 0 ? 0 : MostPublishMs;
        var model = world.Scenario.Models[index];
        _configuration = ScenarioCatalog.ConfigurationOf(model, world.Scenario.Classes, variant => first.SecondsOn(index, variant), (variant, _) => !options.FullOnly || variant == model.Full);
        _jobs = model.LaneOf(Lane.Batch) is { } batch ? new(world, index, batch, Miss) : null;
        var endpoints = new List<RoutedEndpoint>();
        var windows = new List<RoutedWindows>();
        foreach (var variant in _configuration.Model!.Variants)
        {
            foreach (var endpoint in variant.Endpoints)
            {
                var at = IndexOf(model, variant.Name.Value);
                var candidate = endpoints.Count + windows.Count;
                if (endpoint.Lane == Lane.Batch)
                {
                    var configuration = new EndpointConfiguration
                    {
                        Model = _configuration.Model.Name,
                        Variant = variant.Name,
                        Endpoint = endpoint,
                        InstanceSecondCost = _configuration.InstanceSecondCosts[endpoint.Name],
                    };
                    windows.Add(new(world, configuration, at, _jobs!, _recorder) { Candidate = candidate, Timer = firstTimer + windows.Count });
                    continue;
                }

                var pool = world.AddPool(index, at, model.LaneOf(endpoint.Lane)!, endpoint.Lane is Lane.Realtime or Lane.Async ? endpoint.MinInstances : 0);
                var (ratio, slots) = SpillStaffing.Elsewhere(_configuration, variant, endpoint);
                endpoints.Add(new(world, endpoint, pool, _recorder, options, Miss)
                {
                    Candidate = candidate,
                    SpillRatio = ratio,
                    SpillSlots = slots,
                });
            }
        }

        Endpoints = [.. endpoints];
        Windows = [.. windows];
        _loads = new CandidateLoad[endpoints.Count + windows.Count];
        _quotes = new Quote[_loads.Length];
        _endpointAt = new RoutedEndpoint?[_loads.Length];
        _windowsAt = new RoutedWindows?[_loads.Length];
        foreach (var endpoint in endpoints)
        {
            _endpointAt[endpoint.Candidate] = endpoint;
        }

        foreach (var each in windows)
        {
            _windowsAt[each.Candidate] = each;
        }

        _tenants = [.. world.Scenario.Tenants.Select(static tenant => new TenantRouting { BestEffort = tenant.Class == TrafficClass.High, LowBudget = tenant.Budget?.LowBudget ?? [] })];
        _tenantIds = [.. world.Scenario.Tenants.Select(static tenant => new TenantId(ScenarioCatalog.NameOf(tenant.Tenant)))];
        _minQuality = [.. world.Scenario.Tenants.Select(static tenant => tenant.MinQuality)];
        _budgets = [.. world.Scenario.Tenants.Select((tenant, at) => tenant.Budget is { } budget && world.ModelOf[at] == index ? new RoutedBudget(world, at, budget, options) : null)];
        _table = Build();
    }

    public ImmutableArray<RoutedEndpoint> Endpoints { get; }

    public IEnumerable<BudgetResult> Budgets => _budgets.OfType<RoutedBudget>().Select(static budget => budget.Result);

    /// <summary>Its batch endpoints; their loads change when they do, and not with each request.</summary>
    public ImmutableArray<RoutedWindows> Windows { get; }

    /// <summary>Decides a request and sends it on its way.</summary>
    public void Arrived(int index)
    {
        if (_isStale)
        {
            Refresh();
        }

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
            Load(request);
            var decision = Router.Decide(_table, route, tenant, _loads, _quotes);
            if (_world.Log is { } log)
            {
                log.Decided(request.Number, LoggedDecision.Of(_world.NowUs, Explainer.Explain(_table, route, tenant, decision, _quotes, _tenantIds[request.Tenant])));
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

            if (budget?.Reserve(request, decision.ChargeCap, decision.IsDeferred || _table.Candidates[decision.Chosen].Lane is Lane.Async or Lane.Batch) is { } covered)
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
        endpoint.Ended(request, sizeClass, _table.Candidates[endpoint.Candidate].Service(sizeClass).Mean, (request.Mark & DeferredBit) != 0);
        _budgets[request.Tenant]?.Settle(request, endpoint.Definition, (_world.NowUs - request.StartedUs) / 1000.0);
        HandOut(endpoint);
    }

    /// <summary>A member of a batch job was served.</summary>
    public void MemberEnded(in Request request, Pool job)
    {
        var endpoint = _jobs!.MemberEnded(request, request.Mark & (DeferredBit - 1), job);
        _budgets[request.Tenant]?.Settle(request, endpoint, (_world.NowUs - request.StartedUs) / 1000.0);
    }

    /// <summary>A batch job has ended.</summary>
    public void JobEnded(Pool job) => _jobs!.Ended(job);

    /// <summary>The timer of a batch endpoint has come.</summary>
    public void Due(RoutedWindows windows)
    {
        windows.Due();
        Look(windows);
    }

    public void CapacityChanged(RoutedEndpoint endpoint)
    {
        _isStale = true;
        HandOut(endpoint);
    }

    public void Poll()
    {
        var now = _world.NowMs;
        PollBudgets();
        foreach (var endpoint in Endpoints)
        {
            endpoint.Expire();
            endpoint.Poll(_isClosing);
            HandOut(endpoint);
        }

        _isStale = true;
        if (now >= _publishAt || Endpoints.Any(static endpoint => endpoint.HasNews))
        {
            var isRegular = now >= _publishAt;
            _publishAt = isRegular ? now + _publishMs : _publishAt;
            foreach (var endpoint in Endpoints)
            {
                endpoint.Told(isRegular);
            }

            _statistics.Merge(new() { Holder = "one", Sequence = ++_sequence, Deltas = _recorder.Drain() }, now);
            _table = Build();
        }
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
        if (_windowsAt[decision.Chosen] is { } windows)
        {
            Join(index, windows);
            return true;
        }

        var endpoint = _endpointAt[decision.Chosen]!;
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
        var serviceMs = _table.Candidates[held.Candidate].Service(held.SizeClass).Mean;
        request.Mark = held.SizeClass;
        if (_windowsAt[held.Candidate] is { } windows)
        {
            Join(held.Index, windows);
            return;
        }

        _endpointAt[held.Candidate]!.Demand.Arrived(request.Class, held.Deadline - _world.NowMs - serviceMs, serviceMs);
        if (!TryBegin(held.Index, request, held.Candidate, held.SizeClass, ToMs(serviceMs)))
        {
            Miss(held.Index);
        }
    }

    private void Join(int index, RoutedWindows windows)
    {
        windows.Join(index, _world.Requests[index].InputTokens * BytesPerToken);
        Look(windows);
    }

    /// <summary>Begins a call if there is a slot for it, or has it wait for one; false if it could not be in time.</summary>
    private bool TryBegin(int index, in Request request, int candidate, int sizeClass, int serviceMs)
    {
        var endpoint = _endpointAt[candidate]!;
        if (endpoint.HasSlot(request.Class))
        {
            Start(index, endpoint);
            return true;
        }

        var last = _table.Candidates[candidate].LastBegin(sizeClass, World.ToMs(request.DeadlineUs), _world.NowMs);
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

    private static int ToMs(double milliseconds) => (int)Math.Clamp(milliseconds, 1, int.MaxValue);

    /// <summary>Tells the endpoint that would have been cheapest, had it had a slot.</summary>
    private void TellSpilled(in RouteRequest route, in Decision decision)
    {
        if (route.Attempt == 0 && Spill.CandidateOf(_table, route, decision, _quotes) is >= 0 and var cheaper && _endpointAt[cheaper] is { SpillRatio: > 0 } endpoint)
        {
            endpoint.Demand.Spilled(route.Class, _quotes[cheaper].ServiceMs);
        }
    }

    /// <summary>Tells the endpoint that a request which was turned away would have been served on.</summary>
    private void TellRefused(in RouteRequest route, in Decision decision)
    {
        if (decision.Outcome == DecisionOutcome.DeadlineUnreachable && route.Attempt == 0 && RefusedDemand.CandidateOf(_table, route, decision.SizeClass, _quotes) is >= 0 and var wanted)
        {
            var (endpoint, serviceMs) = (_endpointAt[wanted]!, _quotes[wanted].ServiceMs);
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
            if (World.ToMs(taken.DeadlineUs) <= _world.NowMs + (_table.Candidates[other.Candidate].Service(taken.Mark & (DeferredBit - 1)).Mean / 2))
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

    private void Look(RoutedWindows windows)
    {
        if (_seesWindows)
        {
            _loads[windows.Candidate] = windows.Load;
        }
    }

    private void Load(in Request request)
    {
        var trafficClass = request.Class;
        foreach (var endpoint in Endpoints)
        {
            var i = endpoint.Candidate;
            var pool = endpoint.Pool;
            var (waiting, urgent) = (0, 0);
            for (var other = 0; other <= (int)trafficClass; other++)
            {
                waiting += endpoint.Queue.CountOf((TrafficClass)other);
                urgent += other < (int)trafficClass ? pool.InUseBy((TrafficClass)other) : 0;
            }

            if (endpoint.Silos is { } silos)
            {
                _loads[i] = silos.Load(request, endpoint.Definition.Lane == Lane.Serverless, endpoint.Slots - pool.InUse, waiting, _world.NowMs) with
                {
                    WaitingWorkMs = waiting > 0 ? WorkAhead(request, endpoint) : 0,
                    DeferredWorkMs = _defers && endpoint.Definition.Lane == Lane.Realtime ? endpoint.DeferredWorkAtPoll : null,
                };
                continue;
            }

            _loads[i] = new()
            {
                InFlight = pool.InUse,
                InFlightUrgent = urgent,
                Waiting = waiting,
                WaitingWorkMs = waiting > 0 ? WorkAhead(request, endpoint) : 0,
                WarmEnvironments = endpoint.Definition.Lane == Lane.Serverless ? pool.WarmIdle(_world.NowUs) : 0,
                DeferredWorkMs = _defers && endpoint.Definition.Lane == Lane.Realtime ? endpoint.Deferred.WorkMs : null,
            };
        }
    }

    /// <summary>Slot-milliseconds of what waits at an endpoint and would be served before a request, at least 1.</summary>
    private long WorkAhead(in Request request, RoutedEndpoint endpoint)
    {
        var candidate = _table.Candidates[endpoint.Candidate];
        var sizeClass = _table.SizeClassOf(request.InputTokens, request.OutputTokens);

        // Silos are not told what is due when.
        var last = endpoint.Silos is null ? candidate.LastBegin(sizeClass, World.ToMs(request.DeadlineUs), _world.NowMs) : long.MaxValue;
        return (long)Math.Max(1, endpoint.WorkAhead(_tenantIds[request.Tenant], request.Class, last, ToMs(candidate.Service(sizeClass).Mean)));
    }

    private void Refresh()
    {
        _isStale = false;
        _table = _table.With(Statuses(), ++_version);
    }

    private RoutingTable Build()
    {
        _isStale = false;
        return RoutingTable.Build(new()
        {
            Model = _configuration.Model!,
            Version = ++_version,
            InstanceSecondCosts = _configuration.InstanceSecondCosts,
            Status = Statuses(),
            Latency = _statistics.Publish(_world.NowMs),
            TargetProbability = _configuration.TargetProbability,
        });
    }

    private ImmutableArray<EndpointStatus> Statuses() => [.. Endpoints.Select(endpoint => endpoint.Status(_version))];

    private static int IndexOf(ScenarioModel model, string name)
    {
        for (var i = 0; i < model.Variants.Length; i++)
        {
            if (ScenarioCatalog.NameOf(model.Variants[i].Name) == name)
            {
                return i;
            }
        }

        throw new InvalidOperationException($"There is no variant '{name}'.");
    }
}
