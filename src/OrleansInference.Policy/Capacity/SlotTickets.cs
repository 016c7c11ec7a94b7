using System.Collections.Immutable;
using OrleansInference.Queueing;

namespace OrleansInference.Capacity;

/// <summary>
/// The tickets of requests that wait for a slot, in one queue for all silos, each by the number that its silo knows it by; and from which class on somebody waits. Not
/// stored, not thread-safe.
/// </summary>
internal sealed class SlotTickets(FairQueueOptions? options)
{
    /// <summary>How long a class counts as waiting after its last ticket has left, in milliseconds: so that silos do not change their ways at each ticket.</summary>
    private const long HoldMs = 200;

    private const int Classes = 3;
    private const int ByLengthTold = 64;

    private readonly FairQueue<SlotHolder> _queue = new(options);
    private readonly Dictionary<long, long> _idOf = [];
    private readonly List<Ticket<SlotHolder>> _expired = [];
    private readonly List<Ticket<SlotHolder>> _givenUp = [];
    private readonly long[] _waitedAt = [long.MinValue / 2, long.MinValue / 2, long.MinValue / 2];
    private long _last;

    /// <summary>Tickets that wait.</summary>
    public int Count => _queue.Count;

    /// <summary>Tickets that wait, by class.</summary>
    public ImmutableArray<int> ByClass => [_queue.CountOf(TrafficClass.High), _queue.CountOf(TrafficClass.Medium), _queue.CountOf(TrafficClass.Low)];

    /// <summary>Slot-milliseconds that they are expected to take.</summary>
    public long WorkMs => _queue.WorkOf(TrafficClass.High) + _queue.WorkOf(TrafficClass.Medium) + _queue.WorkOf(TrafficClass.Low);

    /// <summary>Tickets that wait, by tenant.</summary>
    public IReadOnlyList<WaitingTenant> ByTenant => _queue.Tenants();

    /// <summary>Slot-milliseconds that they are expected to take, by class.</summary>
    public ImmutableArray<long> WorkByClass => [_queue.WorkOf(TrafficClass.High), _queue.WorkOf(TrafficClass.Medium), _queue.WorkOf(TrafficClass.Low)];

    /// <summary>The work of some tenants by class, and of the first of them by length.</summary>
    public ImmutableArray<WaitingWork> WorkOf(ImmutableArray<WaitingTenant> tenants)
    {
        if (tenants.IsEmpty)
        {
            return [];
        }

        List<WaitingWork> work = [];
        foreach (var tenant in tenants)
        {
            _queue.AddWork(tenant.Tenant, isByLength: work.Count < ByLengthTold, work);
        }

        return [.. work];
    }

    /// <summary>Tickets of <see cref="TrafficClass.High"/> that wait.</summary>
    public int High => _queue.CountOf(TrafficClass.High);

    /// <summary>The most urgent class of which somebody waits, or did a moment ago; null if nobody does.</summary>
    public TrafficClass? WaitingFrom(long now)
    {
        for (var i = 0; i < Classes; i++)
        {
            if (_queue.CountOf((TrafficClass)i) > 0 || now - _waitedAt[i] < HoldMs)
            {
                return (TrafficClass)i;
            }
        }

        return null;
    }

    /// <summary>Takes down that those who wait now do.</summary>
    public void Remember(long now)
    {
        for (var i = 0; i < Classes; i++)
        {
            if (_queue.CountOf((TrafficClass)i) > 0)
            {
                _waitedAt[i] = now;
            }
        }
    }

    /// <summary>Tells what there is, as <see cref="FairQueue{T}.SetCapacity"/>.</summary>
    public void SetCapacity(int slots, int headroom, double serviceMs, int moreSlots, long moreInMs, bool yields) => _queue.SetCapacity(slots, headroom, serviceMs, moreSlots, moreInMs, yields);

    /// <summary>Lets a silo's request wait, or says why not.</summary>
    /// <param name="holder">The silo.</param>
    /// <param name="joined">The request.</param>
    /// <param name="inUse">Slots in use.</param>
    /// <param name="now">Unix ms.</param>
    /// <param name="givenUp">The requests that were given up for it: they wait no more, and are to be answered.</param>
    public EnqueueResult Join(SlotHolder holder, SlotTicket joined, int inUse, long now, out IReadOnlyCollection<(SlotHolder Holder, long Id)> givenUp)
    {
        var ticket = new Ticket<SlotHolder>
        {
            Id = ++_last,
            Tenant = joined.Tenant,
            Weight = joined.Weight is > 0 and < double.PositiveInfinity ? joined.Weight : 1,
            Class = (TrafficClass)Math.Clamp((int)joined.Class, 0, Classes - 1),
            Deadline = joined.Deadline,
            ServiceMs = joined.ServiceMs,
            Holder = holder,
        };
        var result = _queue.TryEnqueue(ticket, inUse, now, _givenUp);
        givenUp = TakeOut(_givenUp);
        if (result.Verdict == EnqueueVerdict.Queued)
        {
            holder.Waiting.Add(joined.Id, ticket.Id);
            _idOf.Add(ticket.Id, joined.Id);
        }

        return result;
    }

    /// <summary>A silo's request waits no more.</summary>
    public void Leave(SlotHolder holder, long id)
    {
        if (holder.Waiting.Remove(id, out var ticket))
        {
            _idOf.Remove(ticket);
            _queue.Remove(ticket, out _);
        }
    }

    /// <summary>None of a silo's requests waits any more.</summary>
    public void LeaveAll(SlotHolder holder)
    {
        foreach (var ticket in holder.Waiting.Values)
        {
            _idOf.Remove(ticket);
            _queue.Remove(ticket, out _);
        }

        holder.Waiting.Clear();
    }

    /// <summary>The silo whose request is next; null if none may have a slot.</summary>
    public SlotHolder? NextHolder(int inUse, long now) => _queue.TryPeek(inUse, now, out var front) ? front.Holder : null;

    /// <summary>Takes out the request that is next; false if none may have a slot.</summary>
    public bool TryTake(int inUse, long now, out SlotHolder holder, out long id)
    {
        if (_queue.TryDequeue(inUse, now, _expired, out var ticket))
        {
            (holder, id) = TakeOut(ticket);
            return true;
        }

        (holder, id) = (null!, 0);
        return false;
    }

    /// <summary>Takes out the requests whose time is over.</summary>
    public IReadOnlyCollection<(SlotHolder Holder, long Id)> TakeExpired(long now)
    {
        _queue.Expire(now, _expired);
        return TakeOut(_expired);
    }

    private IReadOnlyCollection<(SlotHolder Holder, long Id)> TakeOut(List<Ticket<SlotHolder>> left)
    {
        if (left.Count == 0)
        {
            return Array.Empty<(SlotHolder, long)>();
        }

        List<(SlotHolder, long)> taken = [.. left.Select(ticket => TakeOut(ticket))];
        left.Clear();
        return taken;
    }

    private (SlotHolder Holder, long Id) TakeOut(in Ticket<SlotHolder> ticket)
    {
        _idOf.Remove(ticket.Id, out var id);
        ticket.Holder!.Waiting.Remove(id);
        return (ticket.Holder, id);
    }
}
