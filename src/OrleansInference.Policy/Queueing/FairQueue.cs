namespace OrleansInference.Queueing;

/// <summary>
/// Who gets the next slot of an endpoint. Classes in strict order; inside a class the tenants share by weight (<see cref="FairShare"/>); inside a tenant the
/// earliest deadline is first, then arrival. Lower classes leave the headroom to <see cref="TrafficClass.High"/>, but for what <see cref="TrafficClass.Medium"/>
/// needs of it to be in time. Bounded in each class and for each tenant;
/// refuses on arrival what could not make its deadline, and in overload gives up a tenant's longest for its shorter ones, so that more of it are in time. Operations take logarithmic time (but for giving up,
/// which looks at a thousand tickets at the most) and allocate nothing once the arrays have grown. Virtual time is all the state there is beside the tickets: after a restart those who wait ask again. Not thread-safe.
/// </summary>
/// <typeparam name="T">What the owner needs to answer a ticket.</typeparam>
public sealed partial class FairQueue<T>
{
    private const int Classes = 3;
    private const int MaxDebts = 1_000;

    private readonly FairQueueOptions _options;
    private readonly Dictionary<long, int> _ids = [];
    private readonly TenantTable _tenants = new();
    private readonly WorkTree _order = new();
    private readonly FairShare[] _classes = new FairShare[Classes];
    private Waiting[] _waiting = [];
    private int[] _free = [];
    private int _freeCount;
    private long _sequence;
    private QueueSlots _slots;

    /// <summary>Begins empty, with no slots.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound is below 1.</exception>
    public FairQueue(FairQueueOptions? options = null)
    {
        _options = options ?? new();
        _longestFirst = LongestFirst;
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.MaxPerClass, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.MaxPerTenant, 1, nameof(options));
        for (var i = 0; i < Classes; i++)
        {
            _classes[i] = new(_tenants, _order, Math.Max(MaxDebts, _options.MaxPerClass));
        }
    }

    /// <summary>Tickets that wait.</summary>
    public int Count => _ids.Count;

    /// <summary>The earliest deadline of all that wait, Unix ms; <see cref="long.MaxValue"/> if none does: when to look for expired ones next.</summary>
    public long EarliestDeadline
    {
        get
        {
            var earliest = long.MaxValue;
            foreach (var fair in _classes)
            {
                earliest = Math.Min(earliest, fair.EarliestDeadline);
            }

            return earliest;
        }
    }

    /// <summary>Tells what there is. Those who wait stay, also if the slots become fewer.</summary>
    /// <param name="slots">Slots that may be in use, 0 or more. With 0 nothing is given out, and while none is on its way nothing is refused for its deadline.</param>
    /// <param name="headroom">Slots that lower classes leave free, 0 or more.</param>
    /// <param name="meanServiceMs">How long a call takes on average, in milliseconds, 0 or more.</param>
    /// <param name="moreSlots">Slots that are on their way, 0 or more.</param>
    /// <param name="moreInMs">In how many milliseconds they come, 0 or more.</param>
    /// <param name="yields">Whether the headroom yields (<see cref="HeadroomFor"/>).</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public void SetCapacity(int slots, int headroom, double meanServiceMs, int moreSlots = 0, long moreInMs = 0, bool yields = true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        ArgumentOutOfRangeException.ThrowIfNegative(headroom);
        ArgumentOutOfRangeException.ThrowIfNegative(meanServiceMs);
        ArgumentOutOfRangeException.ThrowIfNegative(moreSlots);
        ArgumentOutOfRangeException.ThrowIfNegative(moreInMs);
        _slots = new(slots, headroom, meanServiceMs, moreSlots, moreInMs, yields);
    }

    /// <summary>Lets a ticket wait, or says why not and when to come back.</summary>
    /// <param name="ticket">The ticket.</param>
    /// <param name="slotsInUse">Slots now in use.</param>
    /// <param name="now">Unix ms.</param>
    /// <param name="givenUp">
    /// Tickets of the same tenant that take at least twice as long, by powers of two, and are given up for it are put here: they have left the queue and are to be answered. They are the fewest for which it is
    /// in time (after Moore, "An n job, one machine sequencing algorithm for minimizing the number of late jobs", Management Science 15, 1968), of the thousand that come right before it. Null: none is given up,
    /// nor is while a slot is free for the class.
    /// </param>
    /// <exception cref="ArgumentException">The ticket's weight or class is out of range.</exception>
    public EnqueueResult TryEnqueue(in Ticket<T> ticket, int slotsInUse, long now, ICollection<Ticket<T>>? givenUp = null)
    {
        Check(ticket);
        if (_ids.ContainsKey(ticket.Id))
        {
            return new(EnqueueVerdict.AlreadyWaiting);
        }

        var fair = _classes[(int)ticket.Class];
        var tenant = _tenants.Find(ticket.Tenant);
        var ahead = WorkAhead(tenant, ticket);
        var wait = _slots.WaitMs(ahead, ticket.Class, slotsInUse);
        var room = _options.MaxPerClass - fair.Count;
        if (room <= 0)
        {
            return new(EnqueueVerdict.QueueFull, wait, DrainMs(ticket.Class));
        }

        if (fair.CountOf(tenant) >= Math.Min(room, _options.MaxPerTenant))
        {
            return new(EnqueueVerdict.TenantFull, wait, Math.Max(1, wait));
        }

        var slack = ticket.Deadline - now;
        if (slack < 0 || (slack < wait && (givenUp is null || slotsInUse < _slots.For(ticket.Class) || !TryGiveUp(tenant, ticket, ahead, slotsInUse, slack, givenUp))))
        {
            return new(EnqueueVerdict.TooLate, wait, slack < 0 ? 0 : wait - slack);
        }

        if (slack < wait)
        {
            // If all that the tenant had waiting was given up, it has no number any more.
            tenant = _tenants.Find(ticket.Tenant);
            wait = _slots.WaitMs(WorkAhead(tenant, ticket), ticket.Class, slotsInUse);
        }

        var node = NewNode();
        tenant = tenant >= 0 ? tenant : _tenants.Number(ticket.Tenant);
        _waiting[node] = new() { Ticket = ticket, Tenant = tenant };
        _ids.Add(ticket.Id, node);
        fair.Add(tenant, ticket.Weight, node, ticket.Deadline, ++_sequence, Math.Max(1, ticket.ServiceMs));
        return new(EnqueueVerdict.Queued, wait);
    }

    /// <summary>
    /// Takes out the next ticket that may have a slot; false if there is none. Who is in front and may not take one yet, because of the headroom,
    /// holds back the less urgent.
    /// </summary>
    /// <param name="slotsInUse">Slots now in use, without the one given out here.</param>
    /// <param name="now">Unix ms.</param>
    /// <param name="expired">Tickets whose deadline has passed are put here, in no order: they have left the queue and are to be answered.</param>
    /// <param name="ticket">The ticket.</param>
    public bool TryDequeue(int slotsInUse, long now, ICollection<Ticket<T>> expired, out Ticket<T> ticket)
    {
        Expire(now, expired);
        var (fair, node) = Next(slotsInUse, now);
        if (fair is null)
        {
            ticket = default;
            return false;
        }

        ticket = _waiting[node].Ticket;
        fair.Serve(_waiting[node].Tenant);
        Free(node);
        return true;
    }

    /// <summary>The ticket that <see cref="TryDequeue"/> would take out, unless it has expired; false if there is none.</summary>
    public bool TryPeek(int slotsInUse, long now, out Ticket<T> ticket)
    {
        var (fair, node) = Next(slotsInUse, now);
        ticket = fair is null ? default : _waiting[node].Ticket;
        return fair is not null;
    }

    private (FairShare? Fair, int Node) Next(int slotsInUse, long now)
    {
        foreach (var fair in _classes)
        {
            if (fair.Count == 0)
            {
                continue;
            }

            var node = fair.Front;
            ref var ticket = ref _waiting[node].Ticket;
            return slotsInUse < Math.Min(_slots.For(ticket.Class, HeadroomFor(ticket, now)), ticket.Class == TrafficClass.High ? int.MaxValue : ticket.MostInUse) ? (fair, node) : (null, 0);
        }

        return (null, 0);
    }

    /// <summary>Takes out a ticket, wherever it stands; false if it does not wait.</summary>
    public bool Remove(long id, out Ticket<T> removed)
    {
        if (!_ids.TryGetValue(id, out var node))
        {
            removed = default;
            return false;
        }

        removed = _waiting[node].Ticket;
        RemoveNode(node);
        return true;
    }

    /// <summary>Takes out the tickets whose deadline has passed.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="expired">They are put here, in no order.</param>
    /// <returns>How many they are.</returns>
    public int Expire(long now, ICollection<Ticket<T>> expired)
    {
        ArgumentNullException.ThrowIfNull(expired);
        var before = Count;
        foreach (var fair in _classes)
        {
            while (fair.EarliestDeadline < now)
            {
                var node = fair.Earliest;
                expired.Add(_waiting[node].Ticket);
                RemoveNode(node);
            }
        }

        return before - Count;
    }

    /// <summary>Whether a ticket waits.</summary>
    public bool Contains(long id) => _ids.ContainsKey(id);

    /// <summary>Tickets of a class that wait.</summary>
    public int CountOf(TrafficClass trafficClass) => _classes[(int)trafficClass].Count;

    /// <summary>Slot-milliseconds that the waiting tickets of a class are expected to take.</summary>
    public long WorkOf(TrafficClass trafficClass) => _classes[(int)trafficClass].Work;

    /// <summary>
    /// The headroom that is kept from a ticket whose turn it is: all of it, or less if it is of <see cref="TrafficClass.Medium"/> and would else be late, were all that waits of its class due as
    /// it is. A slot that is kept for a call that may come is of less use than one for a request that is there and can wait no longer; one that has time is not served before its time for
    /// having such a one beside it.
    /// </summary>
    /// <param name="front">The ticket; it waits.</param>
    /// <param name="now">Unix ms.</param>
    public int HeadroomFor(in Ticket<T> front, long now) => _slots.HeadroomFor(front.Class, WorkOf(front.Class), front.Deadline - now);

    /// <summary>Tickets of a tenant that wait.</summary>
    public WaitingTenant CountOf(TenantId tenant) => Backlog(tenant, _tenants.Find(tenant));

    /// <summary>Adds what a tenant has waiting, by class and length, or by class alone: then it counts as short.</summary>
    public void AddWork(TenantId tenant, bool isByLength, ICollection<WaitingWork> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        for (var i = 0; i < Classes; i++)
        {
            _classes[i].AddWork(_tenants.Find(tenant), tenant, (TrafficClass)i, isByLength, work);
        }
    }

    /// <summary>The tenants that have tickets waiting; for views.</summary>
    public IReadOnlyList<WaitingTenant> Tenants()
    {
        var list = new List<WaitingTenant>(_tenants.Count);
        foreach (var (tenant, number) in _tenants.Numbers)
        {
            if (Backlog(tenant, number) is { Total: > 0 } backlog)
            {
                list.Add(backlog);
            }
        }

        return list;
    }

    /// <summary>
    /// How long a ticket that came now would wait, in milliseconds: for the work whose turn comes first. 0 if there are no slots and none is on its way, because then nobody knows.
    /// </summary>
    /// <exception cref="ArgumentException">The ticket's weight or class is out of range.</exception>
    public long FairWait(in Ticket<T> ticket, int slotsInUse)
    {
        Check(ticket);
        return _slots.WaitMs(WorkAhead(_tenants.Find(ticket.Tenant), ticket), ticket.Class, slotsInUse);
    }

    /// <summary>
    /// Slot-milliseconds of the waiting work whose turn would come before that of a ticket that came now: all that is more urgent, its tenant's earlier deadlines, and what the fair share gives
    /// other tenants of its class until then; without what would be given up for it if need be.
    /// </summary>
    /// <exception cref="ArgumentException">The ticket's weight or class is out of range.</exception>
    public double WorkAhead(in Ticket<T> ticket)
    {
        Check(ticket);
        var tenant = _tenants.Find(ticket.Tenant);
        return WorkAhead(tenant, ticket, _classes[(int)ticket.Class].MuchLongerAhead(tenant, ticket.Deadline, Math.Max(1, ticket.ServiceMs)));
    }

    /// <summary>Tenants that the queue remembers: those who wait, and those whose last turn is not yet paid for.</summary>
    internal int Remembered => _tenants.Count;

    private static void Check(in Ticket<T> ticket)
    {
        if (!(ticket.Weight > 0) || !double.IsFinite(ticket.Weight))
        {
            throw new ArgumentException($"Ticket {ticket.Id}: the weight of '{ticket.Tenant}' is {ticket.Weight}; it must be greater than 0.", nameof(ticket));
        }

        if ((uint)ticket.Class >= Classes)
        {
            throw new ArgumentException($"Ticket {ticket.Id}: there is no class {ticket.Class}.", nameof(ticket));
        }
    }

    private double WorkAhead(int tenant, in Ticket<T> ticket, double without = 0)
    {
        var ahead = _classes[(int)ticket.Class].WorkAhead(tenant, ticket.Weight, ticket.Deadline, without);
        for (var i = 0; i < (int)ticket.Class; i++)
        {
            ahead += _classes[i].Work;
        }

        return ahead;
    }

    /// <summary>How long it takes to serve what waits in a class and the more urgent ones, in milliseconds.</summary>
    private long DrainMs(TrafficClass trafficClass)
    {
        var work = 0L;
        for (var i = 0; i <= (int)trafficClass; i++)
        {
            work += _classes[i].Work;
        }

        return Math.Max(1, work / Math.Max(1, _slots.For(trafficClass)));
    }

    private WaitingTenant Backlog(TenantId tenant, int number)
    {
        // Each class has the weight that was heard last in it: shown is that of the most urgent one.
        var first = Array.Find(_classes, fair => fair.CountOf(number) > 0);
        return new(tenant, first?.WeightOf(number) ?? 1, _classes[0].CountOf(number), _classes[1].CountOf(number), _classes[2].CountOf(number));
    }

    private void RemoveNode(int node)
    {
        ref var waiting = ref _waiting[node];
        _classes[(int)waiting.Ticket.Class].Remove(waiting.Tenant, node);
        Free(node);
    }

    private int NewNode()
    {
        if (_freeCount == 0)
        {
            var size = Math.Max(16, 2 * _waiting.Length);
            Array.Resize(ref _free, size);
            for (var i = size - 1; i >= _waiting.Length; i--)
            {
                _free[_freeCount++] = i;
            }

            Array.Resize(ref _waiting, size);
            _order.Grow(size);
        }

        return _free[--_freeCount];
    }

    private void Free(int node)
    {
        _ids.Remove(_waiting[node].Ticket.Id);
        _waiting[node] = default;
        _free[_freeCount++] = node;
    }

    private struct Waiting
    {
        public Ticket<T> Ticket;
        public int Tenant;
    }
}
