namespace OrleansInference.Leases;

/// <summary>Requests that wait on this silo for a slot of one endpoint: by class, then deadline, then arrival. Bounded.</summary>
internal sealed class SlotQueue
{
    public const int MaxWaiting = 10_000;

    private readonly Lock _lock = new();
    private readonly PriorityQueue<SlotWaiter, (int Class, long Deadline, long Order)> _queue = new();
    private readonly int[] _waiting = new int[3];
    private long _order;
    private int _count;

    /// <summary>How many wait.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>How many of a class or a more urgent one wait.</summary>
    public int CountUpTo(TrafficClass trafficClass)
    {
        var sum = 0;
        for (var i = 0; i <= (int)trafficClass; i++)
        {
            sum += Volatile.Read(ref _waiting[i]);
        }

        return sum;
    }

    /// <summary>Joins; null if too many wait.</summary>
    public SlotWaiter? Join(TrafficClass trafficClass, long deadline, int mostInUse = int.MaxValue)
    {
        lock (_lock)
        {
            if (_count >= MaxWaiting)
            {
                return null;
            }

            var waiter = new SlotWaiter(trafficClass, mostInUse);
            _queue.Enqueue(waiter, ((int)trafficClass, deadline, _order++));
            _waiting[(int)trafficClass]++;
            _count++;
            return waiter;
        }
    }

    /// <summary>Leaves without a slot; false if it was given one meanwhile.</summary>
    public bool Leave(SlotWaiter waiter)
    {
        lock (_lock)
        {
            if (waiter.HasLeft)
            {
                return false;
            }

            Remove_NeedsLock(waiter);
            return true;
        }
    }

    /// <summary>Serves from the front while <paramref name="tryReserve"/> finds slots: who is in front and may not take one yet holds back the less urgent.</summary>
    public void Serve(Func<SlotWaiter, HeldLease?> tryReserve)
    {
        lock (_lock)
        {
            while (_queue.TryPeek(out var waiter, out _))
            {
                if (!waiter.HasLeft)
                {
                    if (tryReserve(waiter) is not { } held)
                    {
                        return;
                    }

                    Remove_NeedsLock(waiter);
                    waiter.Served.SetResult(held);
                }

                _queue.Dequeue();
            }
        }
    }

    private void Remove_NeedsLock(SlotWaiter waiter)
    {
        waiter.HasLeft = true;
        _waiting[(int)waiter.Class]--;
        _count--;
    }
}

/// <summary>One request that waits.</summary>
internal sealed class SlotWaiter(TrafficClass trafficClass, int mostInUse)
{
    /// <summary>The most slots in use with the one it takes.</summary>
    public int MostInUse { get; } = mostInUse;

    public TrafficClass Class { get; } = trafficClass;

    public bool HasLeft { get; set; }

    public TaskCompletionSource<HeldLease> Served { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
