using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

/// <summary>The rules of the queue as they are stated, by search through all that waits.</summary>
internal sealed class SlowQueue(FairQueueOptions options)
{
    private readonly List<(Ticket<int> Ticket, long Arrival)> _waiting = [];
    private readonly Dictionary<(TrafficClass Class, TenantId Tenant), Turn> _turns = [];
    private readonly double[] _virtual = new double[3];
    private long _arrivals;
    private long _turn;

    public int Slots { get; set; }

    public int Headroom { get; set; }

    public bool Yields { get; set; }

    public IReadOnlyList<Ticket<int>> Waiting => [.. _waiting.Select(w => w.Ticket)];

    /// <summary>Tenants with a ticket or a debt, of any class.</summary>
    public int Remembered => _turns.Keys.Select(key => key.Tenant).Distinct().Count();

    public bool HasRoom(Ticket<int> ticket, out EnqueueVerdict verdict)
    {
        var room = options.MaxPerClass - _waiting.Count(w => w.Ticket.Class == ticket.Class);
        var own = _waiting.Count(w => w.Ticket.Class == ticket.Class && w.Ticket.Tenant == ticket.Tenant);
        verdict = _waiting.Any(w => w.Ticket.Id == ticket.Id) ? EnqueueVerdict.AlreadyWaiting
            : room <= 0 ? EnqueueVerdict.QueueFull
            : own >= Math.Min(options.MaxPerTenant, room) ? EnqueueVerdict.TenantFull
            : EnqueueVerdict.Queued;
        return verdict == EnqueueVerdict.Queued;
    }

    public void Enqueue(Ticket<int> ticket)
    {
        var key = (ticket.Class, ticket.Tenant);
        var isNew = !Of(key).Any();
        _waiting.Add((ticket, _arrivals++));
        if (isNew)
        {
            // Max: a tenant that is in debt goes on where its last turn ended, one that is not begins now.
            var debt = _turns.TryGetValue(key, out var old) ? old.Start : 0;
            _turns[key] = new(Math.Max(_virtual[(int)ticket.Class], debt), ++_turn, ticket.Weight);
        }
        else
        {
            _turns[key] = _turns[key] with { Weight = ticket.Weight };
        }
    }

    public IReadOnlyList<Ticket<int>> Expire(long now)
    {
        var expired = _waiting.Where(w => w.Ticket.Deadline < now).Select(w => w.Ticket).ToList();
        expired.ForEach(ticket => Remove(ticket.Id));
        return expired;
    }

    public Ticket<int>? Dequeue(int inUse, long now = 0)
    {
        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            if (Next(trafficClass) is not { } next)
            {
                continue;
            }

            var bound = trafficClass == TrafficClass.High ? Slots : Math.Min(next.MostInUse, Math.Min(Slots, Math.Max(1, Slots - HeadroomFor(next, now))));
            if (inUse + 1 > bound)
            {
                return null;
            }

            Serve(next);
            return next;
        }

        return null;
    }

    /// <summary>Slots that are not needed for what waits of Medium to be done by the deadline of one of it, as far as they are kept at all.</summary>
    public int HeadroomFor(Ticket<int> front, long now)
    {
        if (!Yields || front.Class != TrafficClass.Medium)
        {
            return Headroom;
        }

        var medium = _waiting.Where(w => w.Ticket.Class == TrafficClass.Medium).Select(w => w.Ticket).ToList();
        var within = Math.Max(1, front.Deadline - now);
        var work = medium.Sum(t => (long)Math.Max(1, t.ServiceMs));
        var kept = Headroom;
        while (kept > 0 && (Slots - kept) * within < work)
        {
            kept--;
        }

        return kept;
    }

    public bool Remove(long id)
    {
        var at = _waiting.FindIndex(w => w.Ticket.Id == id);
        if (at < 0)
        {
            return false;
        }

        var ticket = _waiting[at].Ticket;
        _waiting.RemoveAt(at);
        Forget(ticket.Class);
        return true;
    }

    /// <summary>Work served before a ticket that would arrive now, if nobody else came.</summary>
    public long WorkBefore(Ticket<int> ticket)
    {
        var copy = new SlowQueue(options) { Slots = int.MaxValue };
        copy._waiting.AddRange(_waiting.Where(w => w.Ticket.Class == ticket.Class));
        foreach (var (key, turn) in _turns)
        {
            copy._turns[key] = turn;
        }

        (copy._arrivals, copy._turn) = (_arrivals, _turn);
        _virtual.CopyTo(copy._virtual, 0);
        copy.Enqueue(ticket);
        var work = 0L;
        while (copy.Dequeue(0) is { } served && served.Id != ticket.Id)
        {
            work += Math.Max(1, served.ServiceMs);
        }

        return work;
    }

    private IEnumerable<(Ticket<int> Ticket, long Arrival)> Of((TrafficClass Class, TenantId Tenant) key) =>
        _waiting.Where(w => w.Ticket.Class == key.Class && w.Ticket.Tenant == key.Tenant);

    private Ticket<int>? Next(TrafficClass trafficClass)
    {
        var tenants = _waiting.Where(w => w.Ticket.Class == trafficClass).Select(w => w.Ticket.Tenant).Distinct().ToList();
        if (tenants.Count == 0)
        {
            return null;
        }

        var tenant = tenants.OrderBy(t => _turns[(trafficClass, t)].Start).ThenBy(t => _turns[(trafficClass, t)].Number).First();
        return Of((trafficClass, tenant)).OrderBy(w => w.Ticket.Deadline).ThenBy(w => w.Arrival).First().Ticket;
    }

    private void Serve(Ticket<int> ticket)
    {
        var key = (ticket.Class, ticket.Tenant);
        var turn = _turns[key];
        _virtual[(int)ticket.Class] = turn.Start;
        _turns[key] = turn with { Start = turn.Start + (Math.Max(1, ticket.ServiceMs) / turn.Weight), Number = ++_turn };
        _waiting.RemoveAll(w => w.Ticket.Id == ticket.Id);
        Forget(ticket.Class);
    }

    private void Forget(TrafficClass trafficClass)
    {
        var isEmpty = _waiting.All(w => w.Ticket.Class != trafficClass);
        _virtual[(int)trafficClass] = isEmpty ? 0 : _virtual[(int)trafficClass];
        foreach (var (key, turn) in _turns.Where(t => t.Key.Class == trafficClass && !Of(t.Key).Any()).ToList())
        {
            if (isEmpty || turn.Start <= _virtual[(int)trafficClass])
            {
                _turns.Remove(key);
            }
        }
    }

    private readonly record struct Turn(double Start, long Number, double Weight);
}
