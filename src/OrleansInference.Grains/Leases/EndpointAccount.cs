using OrleansInference.Capacity;
using OrleansInference.Hosting;
using OrleansInference.Queueing;
using OrleansInference.Routing;

namespace OrleansInference.Leases;

/// <summary>How a call on a slot ended, for the endpoint's statistics.</summary>
internal enum CallEnd
{
    /// <summary>With a prediction.</summary>
    Answered = 0,

    /// <summary>AWS took no more.</summary>
    Throttled = 1,

    /// <summary>AWS failed.</summary>
    Failed = 2,

    /// <summary>Without a prediction, but not by a fault of AWS: the model refused, the caller gave up, time ran out.</summary>
    Unanswered = 3,

    /// <summary>Run to its end by the model after nobody waited for it any more.</summary>
    SeenOff = 4,
}

/// <summary>
/// An endpoint on this silo: its slots, who waits for them, and what is told to its grain. Slots are taken from this silo's lease; a request that finds
/// none becomes a ticket in the grain's queue, and so does one that comes while others of its class or a more urgent one wait anywhere. Then what comes
/// free goes back at once. Should the grain not be heard for a while, those who wait here are served here, from what the lease still holds.
/// </summary>
internal sealed class EndpointAccount(EndpointName endpoint, IEndpointGrain grain, LeaseHolderIdentity holder, RouterClock clock, CircuitBreakerOptions? breaker = null, Func<ISlotObserver?>? observer = null)
    : LeaseAccount(holder, clock)
{
    private const int MaxEnvironments = 1_000;
    private static readonly TimeSpan RetryPeriod = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LeastRetry = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Unheard = TimeSpan.FromSeconds(3);

    private readonly SlotWaiters _waiters = new();
    private readonly DemandTally _demand = new();
    private readonly Lock _hearing = new();
    private readonly int[] _inFlightByClass = new int[Enum.GetValues<TrafficClass>().Length];
    private int _inFlight;
    private int _deferredInFlight;
    private int _asked;
    private int _isAsking;
    private int _isWatching;
    private long _heardAt = clock.TimeProvider.GetTimestamp();
    private volatile SlotQueueReply _queue = new();
    private volatile EnvironmentPool? _environments;
    private volatile JobFlow? _jobs;
    private volatile RecentWork? _deferred;

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
    public CandidateLoad LoadFor(TrafficClass trafficClass, long now, long statusAt, TenantId tenant = default, double weight = 1)
    {
        var queue = _queue;
        return new()
        {
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
            _demand.Arrived(ask.Class, ask.UsefulUntil - (ask.ServiceMs / 2) - now, ask.ServiceMs);
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
        _demand.Arrived(trafficClass, slackMs, serviceMs);
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

    /// <summary>The call of a deferred job is sent on the slot that it has.</summary>
    public void DeferredBegins() => Interlocked.Increment(ref _deferredInFlight);

    /// <summary>As <see cref="Release"/>, of a call that <see cref="DeferredBegins"/>.</summary>
    public void ReleaseDeferred(HeldLease held, TrafficClass trafficClass, CallEnd end, long busyMs, double expectedMs, Money charged)
    {
        Interlocked.Decrement(ref _deferredInFlight);
        _demand.DeferredEnded(end, busyMs, (long)expectedMs, charged);
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

    /// <summary>A job is put off to slots of it that are free anyway: it counts in quotes from here on.</summary>
    /// <param name="serviceMs">Slot-milliseconds that it is expected to take.</param>
    public void Deferred(double serviceMs) => (_deferred ?? Interlocked.CompareExchange(ref _deferred, new(), null) ?? _deferred!).Add((long)serviceMs, Clock.Now);

    /// <summary>Slot-milliseconds that this silo put off since a moment.</summary>
    /// <param name="since">Unix ms.</param>
    public long DeferredSince(long since) => _deferred?.Since(since, Clock.Now) ?? 0;

    /// <summary>A job is decided for the async lane and is being handed over: it counts in quotes from here on.</summary>
    public void JobComing() => Jobs.Changed(1);

    /// <summary>A job that was <see cref="JobComing"/> was not taken.</summary>
    public void JobRefused() => Jobs.Changed(-1);

    /// <summary>A job that was <see cref="JobComing"/> is on the async lane.</summary>
    public void JobBegan()
    {
        Touch(Clock.Now);
        _demand.Arrived(TrafficClass.Low, 0, 0);
    }

    /// <summary>A job of the async lane ended.</summary>
    public void JobEnded(bool answered, Money charged)
    {
        Touch(Clock.Now);
        Jobs.Changed(-1);
        _demand.Ended(TrafficClass.Low, answered ? CallEnd.Answered : CallEnd.Failed, 0, 0, Money.Zero, charged);
    }

    /// <summary>The grain announces slots, or that requests wait.</summary>
    public void OnGrant(LeaseGrant grant)
    {
        Current.Lease.Apply(grant, Clock.Now);
        OnRefilled(grant);
        if (grant.Queue is { Answers.IsEmpty: false })
        {
            // That it was heard: the grain gives only so much to a silo of which it does not know that it lives.
            Ask();
        }
    }

    protected override async Task<LeaseGrant?> SendAsync(LeaseReport report)
    {
        var queue = _queue;

        // What a lease that was closed reports is not answered with slots.
        var (joined, left) = report.LeaseId == Current.Lease.LeaseId ? _waiters.Telling() : ([], []);
        var demand = _demand.Take(_waiters.Count);
        demand = demand with
        {
            Used = Residency.TakeUsed(),
            Queue = new()
            {
                Observer = observer?.Invoke(),
                Queue = queue.Queue,
                Heard = queue.Sequence,
                Joined = joined,
                Left = left,
                HighInFlight = Volatile.Read(ref _inFlightByClass[(int)TrafficClass.High]),
                HighArrivals = demand.Classes!.UrgentArrivals,
                MediumInFlight = Volatile.Read(ref _inFlightByClass[(int)TrafficClass.Medium]),
                DeferredInFlight = Volatile.Read(ref _deferredInFlight),
                BreakerOpen = Breaker.Blocks(Clock.Now),
            },
        };
        var told = _jobs is { } jobs ? jobs.Telling(demand.Arrivals - demand.Completions) : null;
        try
        {
            var grant = await grain.Refill(report, demand);
            told?.Done(Clock.Now);
            return grant;
        }
        catch
        {
            told?.Undo();
            _waiters.Untold(joined, left);

            // Told with the next report. If the owner did get this one, its statistics count twice; slots and money do not.
            _demand.PutBack(demand);
            throw;
        }
    }

    protected override void OnRefilled(LeaseGrant grant)
    {
        if (grant.Queue is not { } queue)
        {
            // A grain of an earlier version keeps no queue.
            ServeHere();
            return;
        }

        lock (_hearing)
        {
            Volatile.Write(ref _heardAt, Clock.TimeProvider.GetTimestamp());
            if (queue.Queue != _queue.Queue)
            {
                _waiters.TellAgain();
            }
            else if (queue.Message < _queue.Message)
            {
                // A message that was overtaken: what it says has been heard.
                return;
            }

            _queue = queue;
            foreach (var answer in queue.Answers)
            {
                _waiters.Answer(answer, TakeCalled);
            }
        }

        GiveBack();
        if (_waiters.HasNews)
        {
            Ask();
        }

        HeldLease? TakeCalled(TrafficClass trafficClass) => TryTake(trafficClass, Clock.Now);
    }

    private JobFlow Jobs => _jobs ?? Interlocked.CompareExchange(ref _jobs, new(), null) ?? _jobs!;

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

    /// <summary>While somebody waits anywhere, what is free here and not kept for the more urgent goes back.</summary>
    private void GiveBack()
    {
        var queue = _queue;
        if (_waiters.Count > 0 && Clock.TimeProvider.GetElapsedTime(Volatile.Read(ref _heardAt)) > Unheard)
        {
            ServeHere();
            return;
        }

        var isWaiting = queue.WaitingFrom is not null || _waiters.Count > 0;
        if (isWaiting && Available > (queue.WaitingFrom == TrafficClass.High || _waiters.AnyUpTo(TrafficClass.High) ? 0 : queue.Reserve))
        {
            Ask();
        }
    }

    private void ServeHere() => _waiters.ServeHere(trafficClass => TryTake(trafficClass, Clock.Now));

    /// <summary>Sends a report soon; what happens while one is under way goes with the next.</summary>
    private void Ask()
    {
        Volatile.Write(ref _asked, 1);
        if (Interlocked.CompareExchange(ref _isAsking, 1, 0) == 0)
        {
            _ = AskAsync();
        }
    }

    private async Task AskAsync()
    {
        try
        {
            while (Interlocked.Exchange(ref _asked, 0) != 0)
            {
                await RefillOnceAsync(() => _queue.Queue == 0 && _waiters.Count > 0 ? 1 : 0);
            }
        }
        catch (Exception)
        {
            // The owner is moving or its storage fails. Those who wait ask again at their beat, and they have a deadline.
        }
        finally
        {
            Volatile.Write(ref _isAsking, 0);
        }

        if (Volatile.Read(ref _asked) != 0)
        {
            Ask();
        }
    }

    /// <summary>Asks again at a beat while anybody waits, should an announcement have been lost.</summary>
    private void Watch()
    {
        if (Interlocked.CompareExchange(ref _isWatching, 1, 0) == 0)
        {
            _ = WatchAsync();
        }
    }

    private async Task WatchAsync()
    {
        while (_waiters.Count > 0)
        {
            var wait = Clock.ToWall(RetryPeriod);
            await Task.Delay(wait < LeastRetry ? LeastRetry : wait, Clock.TimeProvider);
            Touch(Clock.Now);
            GiveBack();
            Ask();
        }

        Volatile.Write(ref _isWatching, 0);
        if (_waiters.Count > 0)
        {
            Watch();
        }
    }
}
