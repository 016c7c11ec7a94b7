namespace OrleansInference.Queueing;

/// <summary>
/// Requests that may wait for hours: they are served when slots are free that are paid for anyway, and in the last resort by slots that are there for them. The
/// earliest deadline is first. How many slots that takes is what Optimal Available says: at any moment the least speed at which all work
/// that is known would be done by its deadline (Yao, Demers, Shenker, A scheduling model for reduced CPU energy, FOCS 1995). Not thread-safe.
/// </summary>
/// <typeparam name="T">What the owner needs to know of a request.</typeparam>
public sealed class DeferredWork<T>
{
    /// <summary>Deadlines are told apart to this, in milliseconds.</summary>
    public const long GrainMs = DeadlineWork.GrainMs;

    private readonly PriorityQueue<(T Item, long Deadline, int ServiceMs), (long Deadline, long Sequence)> _order = new();
    private readonly DeadlineWork _work = new();
    private long _sequence;

    /// <summary>Requests that wait.</summary>
    public int Count => _order.Count;

    /// <summary>Slot-milliseconds that they are expected to take.</summary>
    public long WorkMs => _work.WorkMs;

    /// <summary>The earliest deadline, Unix ms; <see cref="long.MaxValue"/> if nothing waits.</summary>
    public long EarliestDeadline => _order.Count == 0 ? long.MaxValue : _order.Peek().Deadline;

    /// <summary>Lets a request wait.</summary>
    /// <param name="item">The request.</param>
    /// <param name="deadline">The last moment at which its call may begin, Unix ms, not negative.</param>
    /// <param name="serviceMs">Slot-milliseconds that it is expected to take; at least 1 is counted.</param>
    /// <param name="now">Unix ms.</param>
    public void Add(T item, long deadline, int serviceMs, long now)
    {
        serviceMs = Math.Max(1, serviceMs);
        deadline = DeadlineWork.Counted(deadline, now);
        _order.Enqueue((item, deadline, serviceMs), (deadline, ++_sequence));
        _work.Add(deadline, serviceMs);
    }

    /// <summary>Takes out the request with the earliest deadline; false if there is none.</summary>
    /// <param name="item">The request.</param>
    /// <param name="deadline">Until when its call should have begun, Unix ms.</param>
    public bool TryTake(out T item, out long deadline)
    {
        if (!_order.TryDequeue(out var taken, out _))
        {
            (item, deadline) = (default!, 0);
            return false;
        }

        (item, deadline) = (taken.Item, taken.Deadline);
        _work.Remove(taken.Deadline, taken.ServiceMs);
        return true;
    }

    /// <summary>Slots that have to serve nothing else from now on, on average, for everything to begin in time; 0 if nothing waits.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="marginMs">How much sooner it is to be, in milliseconds.</param>
    public double SlotsNeeded(long now, long marginMs) => _order.Count == 0 ? 0 : _work.SlotsNeeded(EarliestDeadline, now, marginMs);
}
