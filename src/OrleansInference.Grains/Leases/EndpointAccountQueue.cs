namespace OrleansInference.Leases;

// What is told to the grain and heard of it while requests wait.
internal sealed partial class EndpointAccount
{
    private static readonly TimeSpan LeastRetry = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Unheard = TimeSpan.FromSeconds(3);

    private readonly Lock _hearing = new();
    private int _asked;
    private int _isAsking;
    private int _isWatching;

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
