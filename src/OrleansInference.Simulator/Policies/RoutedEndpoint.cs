using System.Collections.Immutable;
using OrleansInference.Capacity;
using OrleansInference.Latency;
using OrleansInference.Queueing;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies;

/// <summary>An endpoint of the router in the simulated world: its queue, its deferred work, its headroom and its capacity plan, over a pool.</summary>
internal sealed class RoutedEndpoint
{
    private const double SoonMs = 300_000;
    private const int NewSamples = 20;
    private const int KnownSamples = 200;

    private readonly World _world;
    private readonly Action<int> _miss;
    private readonly CapacityPlan _plan;
    private readonly RoutedOptions _options;
    private readonly SlotDemand _demand = new();
    private readonly DemandSums _sums = new();
    private readonly List<Ticket<int>> _expired = [];
    private readonly List<Ticket<int>> _givenUp = [];
    private readonly LatencySeries _latency;
    private readonly int[] _new = new int[SizeClass.Count];
    private readonly int[] _known = new int[SizeClass.Count];
    private EndpointDefinition _definition;
    private long _ticket;
    private double _serviceMs;
    private int _deferredInUse;
    private int _inUseAtPoll;
    private int _seen;

    public RoutedEndpoint(World world, EndpointDefinition definition, Pool pool, LatencyRecorder recorder, RoutedOptions options, Action<int> miss)
    {
        _plan = new(null, options.Plan);
        (_world, _definition, Pool, _options, _miss) = (world, definition, pool, options, miss);
        _latency = recorder.SeriesOf(definition.Name);
        Silos = options.Silos > 0 ? new(options.Silos) : null;
        _serviceMs = definition.Prior.ServiceP50Seconds * 1000;
        _seen = pool.InService;
        _plan.Begin(pool.InService);
    }

    public EndpointDefinition Definition => _definition;

    public Pool Pool { get; }

    /// <summary>Index of its candidate.</summary>
    public required int Candidate { get; init; }

    /// <summary>Those who wait for a slot.</summary>
    public FairQueue<int> Queue { get; } = new(new() { MaxPerClass = 1_000_000, MaxPerTenant = 1_000_000 });

    /// <summary>Those who wait for a slot that is free anyway.</summary>
    public DeferredWork<int> Deferred { get; } = new();

    /// <summary>What each silo knows; null where one knows everything.</summary>
    public SiloViews? Silos { get; }

    /// <summary>Slots that may be given out.</summary>
    public int Slots => Silos is null || _definition.Lane == Lane.Serverless ? Pool.Slots : Math.Min(Pool.Slots, _seen * Pool.Concurrency);

    public int Waiting => Queue.Count + Deferred.Count;

    /// <summary>Slot-milliseconds of the deferred work when it was last looked at.</summary>
    public long DeferredWorkAtPoll { get; private set; }

    public int HeadroomSlots { get; private set; }

    /// <summary>How much dearer what finds no slot here is served elsewhere; 0 if nowhere.</summary>
    public double SpillRatio { get; init; }

    /// <summary>Slots there; 0: as many as it takes.</summary>
    public int SpillSlots { get; init; }

    /// <summary>What is told to its plan. A request that is deferred is counted nowhere in it.</summary>
    public DemandSums Demand => _sums;

    /// <summary>Whether a request of a class may begin at once.</summary>
    public bool HasSlot(TrafficClass trafficClass) =>
        Pool.InUse < (trafficClass == TrafficClass.High ? Slots : Math.Min(Slots, Math.Max(1, Slots - HeadroomSlots)))
        && !WaitsUpTo(trafficClass);

    /// <summary>Lets a request wait in line; false if it could not be in time.</summary>
    /// <param name="request">The request.</param>
    /// <param name="tenant">Whose it is.</param>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="lastMs">When its call has to begin at the last.</param>
    /// <param name="serviceMs">How long its call is expected to take.</param>
    /// <param name="givenUp">Those that were given up for it; none by default.</param>
    public bool TryWait(int request, TenantId tenant, TrafficClass trafficClass, long lastMs, int serviceMs, out ImmutableArray<int> givenUp)
    {
        SetCapacity();
        var verdict = Queue.TryEnqueue(
            new() { Id = ++_ticket, Tenant = tenant, Class = trafficClass, Deadline = lastMs, ServiceMs = serviceMs, Holder = request },
            Pool.InUse,
            _world.NowMs,
            _givenUp).Verdict;
        givenUp = _givenUp.Count == 0 ? [] : [.. _givenUp.Select(static ticket => ticket.Holder)];
        _givenUp.Clear();
        return verdict == EnqueueVerdict.Queued;
    }

    /// <summary>The next request in line that may have a slot; false if there is none.</summary>
    public bool TryNext(out int request)
    {
        if (Queue.Count == 0)
        {
            request = -1;
            return false;
        }

        SetCapacity();
        var has = Queue.TryDequeue(Pool.InUse, _world.NowMs, _expired, out var ticket);
        GiveUpExpired();
        request = ticket.Holder;
        return has;
    }

    /// <summary>Gives up those whose time is over, also while there is no slot to be had.</summary>
    public void Expire()
    {
        Queue.Expire(_world.NowMs, _expired);
        GiveUpExpired();
    }

    /// <summary>A deferred request begins here.</summary>
    public void DeferredBegins() => _deferredInUse++;

    /// <summary>A call ended.</summary>
    /// <param name="request">Whose it was.</param>
    /// <param name="sizeClass">Its size class.</param>
    /// <param name="expectedMs">How long a call of that size was expected to take.</param>
    /// <param name="wasDeferred">Whether it was deferred.</param>
    public void Ended(in Request request, int sizeClass, double expectedMs, bool wasDeferred)
    {
        var took = (_world.NowUs - request.StartedUs) / 1000.0;
        if (request.ColdUs > 0)
        {
            // From outside only the whole is seen: what is beyond the usual was the start.
            _latency.Record(LatencyPhase.ColdStart, 0, Math.Max(0, took + (request.ColdUs / 1000.0) - expectedMs));
        }
        else
        {
            _latency.Record(LatencyPhase.Service, sizeClass, took);
        }

        HasNews |= ++_new[sizeClass] >= NewSamples && _known[sizeClass] < KnownSamples;
        _serviceMs += 0.01 * (took - _serviceMs);
        if (wasDeferred)
        {
            _deferredInUse--;
            return;
        }

        _sums.Ended(request.Class, took);
    }

    /// <summary>Looks at what is going on, and changes the instances if that is due.</summary>
    public void Poll(bool isClosing)
    {
        _inUseAtPoll = Pool.InUse;
        _seen = Pool.InService;
        DeferredWorkAtPoll = Deferred.WorkMs;
        if (_definition.Lane is not (Lane.Realtime or Lane.Async))
        {
            return;
        }

        var now = _world.NowMs;
        _demand.InFlight(Pool.InUseBy(TrafficClass.High), Pool.InUseBy(TrafficClass.Medium), Queue.CountOf(TrafficClass.High), now);
        HeadroomSlots = _demand.Headroom(Slots, _serviceMs, _sums.UrgentWaitMs / 2);
        var observed = new CapacityObservation
        {
            Now = now,
            InService = InService,
            Reported = Pool.Wanted,
            InFlight = Pool.InUse - _deferredInUse,
            Waiting = Queue.Count,
            WaitingWorkMs = Queue.WorkOf(TrafficClass.High) + Queue.WorkOf(TrafficClass.Medium) + Queue.WorkOf(TrafficClass.Low),
            Deferrable = Queue.CountOf(TrafficClass.Low),
            DeferredSlots = _options.DeadlineBatching ? Deferred.SlotsNeeded(now, MarginMs) : (double)Deferred.WorkMs / SoonMs,
            DeferredIsDue = _options.DeadlineBatching ? Deferred.EarliestDeadline - MarginMs <= now : Deferred.Count > 0,
            SpillRatio = SpillRatio,
            SpillSlots = SpillSlots,
            OneChangeAtATime = Silos is not null || _world.Scenario.OneChangeAtATime,
            Hold = (Silos is null ? !_world.CanChange(Pool) : Pool.Coming > 0) ? "instances are coming" : null,
        };
        var decision = _plan.Observe(
            isClosing ? _definition with { MinInstances = 0 } : _definition,
            _sums.Take(observed, tellsApart: true));
        _world.Want(Pool, decision.Desired);
    }

    public EndpointStatus Status(long version) => new()
    {
        Endpoint = _definition.Name,
        InService = InService,
        Desired = Pool.Wanted,
        Slots = Slots,
        InFlight = Silos is null ? 0 : _inUseAtPoll,
        Backlog = 0,
        MoreAt = Pool.NextAtUs == long.MaxValue ? 0 : World.ToMs(Pool.NextAtUs),
        Version = version,
        Headroom = _definition.Lane == Lane.Realtime ? HeadroomSlots : null,
        MeanHigh = _demand.MeanHigh ?? 0,
        MeanMedium = _demand.MeanMedium ?? 0,
    };

    /// <summary>Slot-milliseconds of what waits and would be served before a request of which a slot is of use until a moment.</summary>
    public double WorkAhead(TenantId tenant, TrafficClass trafficClass, long lastMs, int serviceMs) => Queue.WorkAhead(new() { Id = 0, Tenant = tenant, Class = trafficClass, Deadline = lastMs, ServiceMs = serviceMs });

    /// <summary>Whether so much has been measured of requests of which little was known that it should be told.</summary>
    public bool HasNews { get; private set; }

    /// <summary>What was measured has been told.</summary>
    /// <param name="isRegular">Whether the usual time has passed, in which half of what was known fades.</param>
    public void Told(bool isRegular)
    {
        HasNews = false;
        for (var i = 0; i < _known.Length; i++)
        {
            _known[i] = (_known[i] + _new[i]) / (isRegular ? 2 : 1);
            _new[i] = 0;
        }
    }

    // A cluster hears of new instances when it looks; those that are on their way out are no longer counted on.
    private int InService => Math.Min(Silos is null ? Pool.InService : Math.Min(Pool.InService, _seen), Pool.Wanted);

    private long MarginMs => DeferredTurns.MarginMs(_definition.Prior.ColdStartSeconds);

    private void SetCapacity()
    {
        var more = Pool.Coming * Pool.Concurrency;
        Queue.SetCapacity(Slots, HeadroomSlots, _serviceMs, more, more == 0 ? 0 : Math.Max(0, (Pool.NextAtUs - _world.NowUs) / 1000));
    }

    private void GiveUpExpired()
    {
        foreach (var late in _expired)
        {
            _miss(late.Holder);
        }

        _expired.Clear();
    }

    private bool WaitsUpTo(TrafficClass trafficClass)
    {
        for (var i = 0; i <= (int)trafficClass; i++)
        {
            if (Queue.CountOf((TrafficClass)i) > 0)
            {
                return true;
            }
        }

        return false;
    }
}
