using OrleansInference.Capacity;
using OrleansInference.Hosting;
using OrleansInference.Queueing;
using OrleansInference.Routing;

namespace OrleansInference.Leases;

/// <summary>
/// An endpoint on this silo: its slots, who waits for them, and what is told to its grain. Slots are taken from this silo's lease; a request that finds
/// none becomes a ticket in the grain's queue, and so does one that comes while others of its class or a more urgent one wait anywhere. Then what comes
/// free goes back at once. Should the grain not be heard for a while, those who wait here are served here, from what the lease still holds.
/// </summary>
internal sealed partial class EndpointAccount(EndpointName endpoint, IEndpointGrain grain, LeaseHolderIdentity holder, RouterClock clock, CircuitBreakerOptions? breaker = null, Func<ISlotObserver?>? observer = null)
    : LeaseAccount(holder, clock)
{
    private const int MaxEnvironments = 1_000;
    private static readonly TimeSpan RetryPeriod = TimeSpan.FromMilliseconds(250);

    private readonly SlotWaiters _waiters = new();
    private readonly DemandTally _demand = new();
    private readonly int[] _inFlightByClass = new int[Enum.GetValues<TrafficClass>().Length];
    private int _inFlight;
    private long _heardAt = clock.TimeProvider.GetTimestamp();
    private volatile SlotQueueReply _queue = new();
    private volatile EnvironmentPool? _environments;

    public EndpointName Endpoint { get; } = endpoint;

    /// <summary>Keeps this silo's calls off the endpoint while it fails.</summary>
    public CircuitBreaker Breaker { get; } = new(breaker ?? new());

    /// <summary>Of a shared endpoint: the models believed to be in memory.</summary>
    public ModelResidency Residency { get; } = new();

    /// <summary>Calls in flight from this silo.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>What the router should know of it now.</summary>
    /// <param name="trafficClass">The class that asks.</param>
    /// <param name="now">The moment.</param>
    /// <param name="statusAt">When the status in the snapshot was taken; 0: there is none.</param>
    /// <param name="tenant">Whose request asks.</param>
    /// <param name="weight">Its fair-share weight.</param>
    /// <param name="serviceMs">How long its call is expected to take, in milliseconds.</param>
    public CandidateLoad LoadFor(TrafficClass trafficClass, long now, long statusAt, TenantId tenant = default, double weight = 1, double serviceMs = double.PositiveInfinity)
    {
        var queue = _queue;
        return new()
        {
            WaitingWorkMs = queue.Tenants.IsDefaultOrEmpty ? 0 : (long)FairTurn.WorkAheadOf(queue, trafficClass, tenant, weight, serviceMs),
            InFlight = Volatile.Read(ref _inFlight),
            InFlightUrgent = InFlightAbove(trafficClass),
            Waiting = queue.Tenants.IsDefaultOrEmpty ? Math.Max(_waiters.CountUpTo(trafficClass), FairTurn.WaitingUpTo(queue, trafficClass)) : FairTurn.AheadOf(queue, trafficClass, tenant, weight),
            Available = queue.WaitingFrom <= trafficClass ? 0 : (int)Math.Min(int.MaxValue, Available),
            BreakerOpen = Breaker.Blocks(now),
            WarmEnvironments = _environments?.WarmIdle(now) ?? 0,
            BacklogChange = _jobs?.UncountedAt(statusAt) ?? 0,
        };
    }

    /// <summary>The pool of warm environments of a serverless endpoint; large enough for every number of them that SageMaker allows.</summary>
    public EnvironmentPool Environments => _environments ?? Interlocked.CompareExchange(ref _environments, new(MaxEnvironments), null) ?? _environments!;

    /// <summary>A slot, waiting for it until it is of use no more; or why there is none.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public async ValueTask<SlotResult> AcquireAsync(SlotAsk ask, CancellationToken cancellationToken)
    {
        var now = Clock.Now;
        if (!ask.IsDeferred)
        {
            _demand.Arrived(ask.Class, ask.SlackMs, ask.ServiceMs);
        }

        if (TakeFree(ask.Class, now) is { } free)
        {
            return new(free);
        }

        if (ask.UsefulUntil <= now)
        {
            return new(null);
        }

        if (_waiters.Join(ask) is not { } waiter)
        {
            return new(null, SlotVerdict.QueueFull, (long)RetryPeriod.TotalMilliseconds);
        }

        Touch(now);
        Ask();
        Watch();
        try
        {
            return await waiter.Served.Task.WaitAsync(Clock.ToWall(TimeSpan.FromMilliseconds(ask.UsefulUntil - now)), Clock.TimeProvider, cancellationToken);
        }
        catch (TimeoutException)
        {
            // Unless the slot came in the same moment.
            return _waiters.Leave(waiter) ? new(null) : await waiter.Served.Task;
        }
        catch (OperationCanceledException)
        {
            if (!_waiters.Leave(waiter) && (await waiter.Served.Task).Slot is { } slot)
            {
                Return(slot, ask.Class);
            }

            throw;
        }
    }

    /// <summary>A slot that is free beyond what is kept for the urgent class, asking the endpoint's grain once if this silo has none; null if there is none, or somebody waits.</summary>
    /// <param name="trafficClass">Whose class.</param>
    /// <param name="slackMs">How long the request can wait and still be in time, in milliseconds.</param>
    /// <param name="serviceMs">How long it is expected to take, in milliseconds.</param>
    public async ValueTask<HeldLease?> TryAcquireAsync(TrafficClass trafficClass, double slackMs, double serviceMs)
    {
        var slot = TakeSpare();
        if (slot is null && !MustWait(TrafficClass.Low))
        {
            await RefillOnceAsync(static () => 1);
            slot = TakeSpare();
        }

        if (slot is not null)
        {
            _demand.Arrived(trafficClass, slackMs, serviceMs);
        }

        return slot;

        HeldLease? TakeSpare() => MustWait(TrafficClass.Low) || Available <= _queue.Reserve ? null : TryTake(trafficClass, Clock.Now);
    }

    /// <summary>A request was turned away that would have been served here, had there been more slots.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="slackMs">How long it could have waited for a slot, in milliseconds; less than 0 counts as 0.</param>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Refused(TrafficClass trafficClass, double slackMs, double serviceMs)
    {
        Touch(Clock.Now);
        _demand.TurnedAwayHere(trafficClass, slackMs, serviceMs);
    }

    /// <summary>A request is served elsewhere that would have been cheaper here, had there been a slot.</summary>
    /// <param name="trafficClass">Its class.</param>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void Spilled(TrafficClass trafficClass, double serviceMs)
    {
        Touch(Clock.Now);
        _demand.Spilled(trafficClass, serviceMs);
    }

    /// <summary>Gives a slot back and counts what the call used.</summary>
    /// <param name="held">The slot.</param>
    /// <param name="trafficClass">The class that it was taken for.</param>
    /// <param name="end">How the call ended.</param>
    /// <param name="busyMs">How long it had the slot, in milliseconds.</param>
    /// <param name="expectedMs">How long it was expected to.</param>
    /// <param name="useCost">What AWS bills for it beyond instances.</param>
    /// <param name="charged">What it was charged.</param>
    public void Release(HeldLease held, TrafficClass trafficClass, CallEnd end, long busyMs, double expectedMs, Money useCost, Money charged)
    {
        _demand.Ended(trafficClass, end, busyMs, (long)expectedMs, useCost, charged);
        Return(held, trafficClass);
    }

    /// <summary>Gives back a slot on which nothing was sent.</summary>
    public void Return(HeldLease held, TrafficClass trafficClass)
    {
        held.Settle(1, 0);
        Interlocked.Decrement(ref _inFlightByClass[(int)trafficClass]);
        Interlocked.Decrement(ref _inFlight);
        if (_waiters.Count > 0 || _queue.WaitingFrom is not null)
        {
            GiveBack();
        }
    }

    /// <summary>The endpoint is no longer in the catalog: nobody need wait for it.</summary>
    public void TurnAway() => _waiters.TurnAway(SlotVerdict.Gone);

    /// <summary>Whether a request of the class has to wait its turn although there may be a slot here.</summary>
    private bool MustWait(TrafficClass trafficClass) => _queue.WaitingFrom <= trafficClass || _waiters.AnyUpTo(trafficClass);

    private int InFlightAbove(TrafficClass trafficClass)
    {
        var sum = 0;
        for (var i = 0; i < (int)trafficClass; i++)
        {
            sum += Volatile.Read(ref _inFlightByClass[i]);
        }

        return sum;
    }

    private HeldLease? TakeFree(TrafficClass trafficClass, long now)
    {
        if (MustWait(trafficClass) || (trafficClass != TrafficClass.High && _queue.Reserve is > 0 and var reserve && Available <= reserve))
        {
            return null;
        }

        if (TryTake(trafficClass, now) is not { } free)
        {
            return null;
        }

        RefillSoon(free, now);
        return free;
    }

    private HeldLease? TryTake(TrafficClass trafficClass, long now)
    {
        if (TryReserve(1, now) is not { } held)
        {
            return null;
        }

        Interlocked.Increment(ref _inFlight);
        Interlocked.Increment(ref _inFlightByClass[(int)trafficClass]);
        return held;
    }
}
