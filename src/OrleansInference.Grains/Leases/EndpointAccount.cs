using OrleansInference.Capacity;
using OrleansInference.Hosting;
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
}

/// <summary>An endpoint on this silo: its slots, who waits for them, and what is told to its grain.</summary>
internal sealed class EndpointAccount(EndpointName endpoint, IEndpointGrain grain, LeaseHolderIdentity holder, RouterClock clock, CircuitBreakerOptions? breaker = null)
    : LeaseAccount(holder, clock)
{
    private static readonly TimeSpan RetryPeriod = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LeastRetry = TimeSpan.FromMilliseconds(20);

    private readonly SlotQueue _queue = new();
    private readonly DemandTally _demand = new();
    private int _isAsking;
    private readonly int[] _inFlightByClass = new int[Enum.GetValues<TrafficClass>().Length];
    private int _inFlight;
    private volatile EnvironmentPool? _environments;
    private volatile JobFlow? _jobs;

    public EndpointName Endpoint { get; } = endpoint;

    /// <summary>Keeps this silo's calls off the endpoint while it fails.</summary>
    public CircuitBreaker Breaker { get; } = new(breaker ?? new());

    /// <summary>Of a shared endpoint: the models believed to be in memory.</summary>
    public ModelResidency Residency { get; } = new();

    /// <summary>What the router should know of it now.</summary>
    /// <param name="trafficClass">The class that asks.</param>
    /// <param name="now">The moment.</param>
    /// <param name="statusAt">When the status in the snapshot was taken; 0: there is none.</param>
    public CandidateLoad LoadFor(TrafficClass trafficClass, long now, long statusAt) => new()
    {
        InFlight = Volatile.Read(ref _inFlight),
        InFlightUrgent = InFlightAbove(trafficClass),
        Waiting = _queue.CountUpTo(trafficClass),
        Available = (int)Math.Min(int.MaxValue, Available),
        BreakerOpen = Breaker.Blocks(now),
        WarmEnvironments = _environments?.WarmIdle(now) ?? 0,
        BacklogChange = _jobs?.UncountedAt(statusAt) ?? 0,
    };

    /// <summary>The pool of warm environments of a serverless endpoint.</summary>
    public EnvironmentPool EnvironmentsOf(EndpointDefinition definition) =>
        _environments ?? Interlocked.CompareExchange(ref _environments, new(Math.Max(1, definition.MaxInstances)), null) ?? _environments!;

    /// <summary>
    /// A slot, waiting for it until <paramref name="waitUntil"/>; null if there was none by then or too many wait. With it
    /// at most <paramref name="mostInUse"/> are in use on this silo; only who is as urgent or more is ahead.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public async ValueTask<HeldLease?> AcquireAsync(TrafficClass trafficClass, int mostInUse, long deadline, long waitUntil, CancellationToken cancellationToken)
    {
        var now = Clock.Now;
        _demand.Arrived();
        if (TakeFree(trafficClass, mostInUse, now) is { } free)
        {
            return free;
        }

        if (waitUntil <= now || _queue.Join(trafficClass, deadline, mostInUse) is not { } waiter)
        {
            return null;
        }

        // A slot that came free since the first look would otherwise wait for the next one to come free.
        Serve();
        if (!AskWhileWaiting() && _queue.CountUpTo(trafficClass) == 1)
        {
            // Who asks at a beat may be a less urgent one that leaves the headroom: the first urgent one does not wait for that beat.
            _ = AskOnceAsync();
        }

        try
        {
            return await waiter.Served.Task.WaitAsync(Clock.ToWall(TimeSpan.FromMilliseconds(waitUntil - now)), Clock.TimeProvider, cancellationToken);
        }
        catch (TimeoutException)
        {
            if (_queue.Leave(waiter))
            {
                return null;
            }

            // The slot came in the same moment.
            return await waiter.Served.Task;
        }
        catch (OperationCanceledException)
        {
            if (!_queue.Leave(waiter))
            {
                (await waiter.Served.Task).Settle(1, 0);
                Leave(trafficClass);
                Serve();
            }

            throw;
        }
    }

    /// <summary>A slot that is free, asking the endpoint's grain once if this silo has none; null if there is none, or somebody waits.</summary>
    public async ValueTask<HeldLease?> TryAcquireAsync(TrafficClass trafficClass, int mostInUse)
    {
        var slot = TakeFree(trafficClass, mostInUse, Clock.Now);
        if (slot is null && _queue.Count == 0 && Available <= 0 && Volatile.Read(ref _inFlight) < mostInUse)
        {
            await RefillOnceAsync(static () => 1);
            slot = TakeFree(trafficClass, mostInUse, Clock.Now);
        }

        if (slot is not null)
        {
            _demand.Arrived();
        }

        return slot;
    }

    /// <summary>Gives a slot back and counts what the call used.</summary>
    public void Release(HeldLease held, TrafficClass trafficClass, CallEnd end, long busyMs, Money useCost, Money charged)
    {
        held.Settle(1, 0);
        Leave(trafficClass);
        _demand.Ended(end, busyMs, useCost, charged);
        if (_queue.Count > 0)
        {
            Serve();
        }
    }

    /// <summary>A job is decided for the async lane and is being handed over: it counts in quotes from here on.</summary>
    public void JobComing() => Jobs.Changed(1);

    /// <summary>A job that was <see cref="JobComing"/> was not taken.</summary>
    public void JobRefused() => Jobs.Changed(-1);

    /// <summary>A job that was <see cref="JobComing"/> is on the async lane.</summary>
    public void JobBegan()
    {
        Touch(Clock.Now);
        _demand.Arrived();
    }

    /// <summary>A job of the async lane ended.</summary>
    public void JobEnded(bool answered, Money charged)
    {
        Touch(Clock.Now);
        Jobs.Changed(-1);
        _demand.Ended(answered ? CallEnd.Answered : CallEnd.Failed, 0, Money.Zero, charged);
    }

    protected override async Task<LeaseGrant?> SendAsync(LeaseReport report)
    {
        var demand = _demand.Take(_queue.Count) with { Used = Residency.TakeUsed() };
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

            // Told with the next report. If the owner did get this one, its statistics count twice; slots and money do not.
            _demand.PutBack(demand);
            throw;
        }
    }

    protected override void OnRefilled() => Serve();

    private JobFlow Jobs => _jobs ?? Interlocked.CompareExchange(ref _jobs, new(), null) ?? _jobs!;

    private void Serve()
    {
        if (_queue.Count > 0)
        {
            _queue.Serve(waiter => TryTake(waiter.Class, waiter.MostInUse, Clock.Now));
        }
    }

    private int InFlightAbove(TrafficClass trafficClass)
    {
        var sum = 0;
        for (var i = 0; i < (int)trafficClass; i++)
        {
            sum += Volatile.Read(ref _inFlightByClass[i]);
        }

        return sum;
    }

    private void Leave(TrafficClass trafficClass)
    {
        Interlocked.Decrement(ref _inFlightByClass[(int)trafficClass]);
        Interlocked.Decrement(ref _inFlight);
    }

    private HeldLease? TakeFree(TrafficClass trafficClass, int mostInUse, long now)
    {
        if (_queue.CountUpTo(trafficClass) > 0 || TryTake(trafficClass, mostInUse, now) is not { } free)
        {
            return null;
        }

        RefillSoon(free, now);
        return free;
    }

    private HeldLease? TryTake(TrafficClass trafficClass, int mostInUse, long now)
    {
        if (Interlocked.Increment(ref _inFlight) <= mostInUse && TryReserve(1, now) is { } held)
        {
            Interlocked.Increment(ref _inFlightByClass[(int)trafficClass]);
            return held;
        }

        Interlocked.Decrement(ref _inFlight);
        return null;
    }

    /// <summary>Begins to ask at a beat; false if that is under way.</summary>
    private bool AskWhileWaiting()
    {
        if (Interlocked.CompareExchange(ref _isAsking, 1, 0) != 0)
        {
            return false;
        }

        _ = AskAsync();
        return true;
    }

    private async Task AskOnceAsync()
    {
        try
        {
            await RefillOnceAsync(static () => 1);
        }
        catch (Exception)
        {
            // The beat of those who wait asks again.
        }
    }

    private async Task AskAsync()
    {
        try
        {
            while (_queue.Count > 0)
            {
                try
                {
                    await RefillOnceAsync(static () => 1);
                }
                catch (Exception)
                {
                    // The owner is moving or its storage fails; those who wait have a deadline.
                }

                if (_queue.Count > 0)
                {
                    var wait = Clock.ToWall(RetryPeriod);
                    await Task.Delay(wait < LeastRetry ? LeastRetry : wait, Clock.TimeProvider);
                }
            }
        }
        finally
        {
            Volatile.Write(ref _isAsking, 0);
            if (_queue.Count > 0)
            {
                _ = AskWhileWaiting();
            }
        }
    }
}
