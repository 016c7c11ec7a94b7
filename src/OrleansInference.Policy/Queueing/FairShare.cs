using System.Numerics;

namespace OrleansInference.Queueing;

/// <summary>
/// Whose turn it is within one class: start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queueing: A Scheduling Algorithm for Integrated
/// Services Packet Switching Networks", SIGCOMM 1996). A tenant's turn has a start tag in virtual time; the least one is served, virtual time becomes
/// that tag, and the tenant's next turn starts by the turn's work over its weight later. A tenant that comes anew starts at the present virtual time, so
/// idleness earns nothing; one that leaves right after its turn and comes back starts where that turn ended, so leaving earns nothing either. Within a
/// tenant the earliest deadline is first, then arrival; as the tag belongs to the tenant's turn and not to a ticket, tickets may come and go as they like.
/// </summary>
internal sealed class FairShare(TenantTable tenants, WorkTree tickets, int maxDebts)
{
    /// <summary>A ticket is much longer than another if its length is by so much more: it takes at least twice as long.</summary>
    public const int MuchLonger = 2;

    private const int Lengths = 24;

    private readonly WorkTree _turns = new();
    private readonly IndexedHeap _deadlines = new();
    private readonly IndexedHeap _debts = new();
    private readonly BacklogProfile _profile = new();
    private Flow[] _flows = [];
    private long[] _byLength = [];
    private int _first = WorkTree.None;
    private double _virtualMs;
    private long _turn;

    /// <summary>Tickets that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Their work in slot-milliseconds.</summary>
    public long Work { get; private set; }

    /// <summary>The earliest deadline of all that wait; <see cref="long.MaxValue"/> if none does.</summary>
    public long EarliestDeadline => _deadlines.Count == 0 ? long.MaxValue : (long)_deadlines.FirstKey;

    /// <summary>The ticket with the earliest deadline; there must be one.</summary>
    public int Earliest => _flows[_deadlines.First].Head;

    /// <summary>The ticket whose turn it is; there must be one.</summary>
    public int Front => _flows[_turns.First(_first)].Head;

    /// <summary>How many tickets of a tenant wait.</summary>
    public int CountOf(int tenant) => tenant >= 0 && tenant < _flows.Length ? _flows[tenant].Count : 0;

    /// <summary>The weight of a tenant that has tickets waiting.</summary>
    public double WeightOf(int tenant) => _flows[tenant].Weight;

    /// <summary>Adds a ticket.</summary>
    public void Add(int tenant, double weight, int ticket, long deadline, long sequence, int work)
    {
        if (tenant >= _flows.Length)
        {
            Grow();
        }

        ref var flow = ref _flows[tenant];
        if (flow.Count > 0)
        {
            _profile.Remove(flow.Work, flow.Units);
        }
        else if (_debts.Contains(tenant))
        {
            _debts.Remove(tenant);
            flow.Start = Math.Max(flow.Start, _virtualMs);
        }
        else
        {
            tenants.Hold(tenant);
            flow = new() { Root = WorkTree.None, Start = _virtualMs };
        }

        _byLength[(tenant * Lengths) + LengthOf(work)] += work;
        (flow.Weight, flow.Units) = (weight, BacklogProfile.UnitsOf(weight));
        tickets.Insert(ref flow.Root, ticket, deadline, sequence, work);
        flow.Count++;
        flow.Work += work;
        Count++;
        Work += work;
        _profile.Add(flow.Work, flow.Units);
        if (flow.Count == 1)
        {
            flow.Head = ticket;
            TakeTurn(tenant, flow.Start, work);
            _deadlines.Set(tenant, deadline);
        }
        else if (deadline < tickets.Key(flow.Head))
        {
            Lead(tenant, ref flow, ticket);
        }
    }

    /// <summary>Takes out the ticket whose turn it is, and its tenant pays for the turn.</summary>
    public void Serve(int tenant)
    {
        ref var flow = ref _flows[tenant];
        var work = tickets.Work(flow.Head);
        _virtualMs = flow.Start;
        flow.Start += work / flow.Weight;
        _turns.Remove(ref _first, tenant);
        if (flow.Count > 1)
        {
            // Its place comes before its head is known: Lead corrects the work.
            TakeTurn(tenant, flow.Start, 0);
        }

        Take(tenant, ref flow, flow.Head);
        while (_debts.Count > 0 && _debts.FirstKey <= _virtualMs)
        {
            Forgive();
        }
    }

    /// <summary>Takes out a ticket that gets no turn.</summary>
    public void Remove(int tenant, int ticket)
    {
        ref var flow = ref _flows[tenant];
        if (flow.Count == 1)
        {
            _turns.Remove(ref _first, tenant);
        }

        Take(tenant, ref flow, ticket);
    }

    /// <summary>
    /// The work that comes before a ticket that arrives now: of its tenant what has a deadline as early, and of the others what their share
    /// gives them until then. An estimate, by about one ticket of each of them.
    /// </summary>
    /// <param name="tenant">Whose ticket it is.</param>
    /// <param name="weight">Its weight.</param>
    /// <param name="deadline">Its deadline.</param>
    /// <param name="without">Work of which as much as the tenant has ahead is left out.</param>
    public double WorkAhead(int tenant, double weight, long deadline, double without = 0)
    {
        var flow = tenant >= 0 && tenant < _flows.Length && (_flows[tenant].Count > 0 || _debts.Contains(tenant)) ? _flows[tenant] : default;
        var isWaiting = flow.Count > 0;
        var own = isWaiting ? Math.Max(0, tickets.WorkUpTo(flow.Root, deadline) - without) : 0;
        var start = Math.Max(flow.Start, _virtualMs) + (own / weight);
        var firstTurns = _turns.WorkUpTo(_first, KeyOf(start)) - (isWaiting ? tickets.Work(flow.Head) : 0);
        return own + Math.Max(firstTurns, _profile.Served(start - _virtualMs, flow.Work, flow.Units));
    }

    /// <summary>Of the tenant's work with a deadline as early that of its much longer tickets (<see cref="IsMuchLonger"/>). But for the latest of deadlines an estimate: they are taken to be among the earlier ones as they are among all.</summary>
    public double MuchLongerAhead(int tenant, long deadline, int work)
    {
        if (CountOf(tenant) == 0)
        {
            return 0;
        }

        ref var flow = ref _flows[tenant];
        var longer = 0L;
        for (var length = LengthOf(work) + MuchLonger; length < Lengths; length++)
        {
            longer += _byLength[(tenant * Lengths) + length];
        }

        return longer == 0 ? 0 : (double)longer / flow.Work * tickets.WorkUpTo(flow.Root, deadline);
    }

    /// <summary>Whether a ticket takes at least twice as long as another: lengths are told apart by powers of two.</summary>
    public static bool IsMuchLonger(int work, int than) => LengthOf(work) >= LengthOf(than) + MuchLonger;

    /// <summary>The tenant's last tickets with at most this deadline, the last one first.</summary>
    /// <returns>How many were put into <paramref name="nodes"/>.</returns>
    public int LastUpTo(int tenant, long deadline, Span<int> nodes) => CountOf(tenant) == 0 ? 0 : tickets.LastUpTo(_flows[tenant].Root, deadline, nodes);

    /// <summary>Adds what a tenant has waiting, by length or in one.</summary>
    public void AddWork(int tenant, TenantId name, TrafficClass trafficClass, bool isByLength, ICollection<WaitingWork> work)
    {
        if (!isByLength && CountOf(tenant) > 0)
        {
            work.Add(new(name, _flows[tenant].Weight, trafficClass, 0, _flows[tenant].Work));
            return;
        }

        for (var length = 0; length < Lengths && CountOf(tenant) > 0; length++)
        {
            if (_byLength[(tenant * Lengths) + length] is > 0 and var sum)
            {
                work.Add(new(name, _flows[tenant].Weight, trafficClass, length, sum));
            }
        }
    }

    /// <summary>The length of a ticket: the power of two that its work is at least.</summary>
    public static int LengthOf(int work) => Math.Min(BitOperations.Log2((uint)work), Lengths - 1);

    private void Take(int tenant, ref Flow flow, int ticket)
    {
        var work = tickets.Work(ticket);
        _byLength[(tenant * Lengths) + LengthOf(work)] -= work;
        _profile.Remove(flow.Work, flow.Units);
        tickets.Remove(ref flow.Root, ticket);
        flow.Count--;
        flow.Work -= work;
        Count--;
        Work -= work;
        if (flow.Count == 0)
        {
            _deadlines.Remove(tenant);
            Leave(tenant, ref flow);
            return;
        }

        _profile.Add(flow.Work, flow.Units);
        if (ticket == flow.Head)
        {
            Lead(tenant, ref flow, tickets.First(flow.Root));
        }
    }

    // A debt is kept until virtual time has passed it. When nobody waits there is nobody to owe it to, and virtual time begins anew.
    private void Leave(int tenant, ref Flow flow)
    {
        if (Count > 0 && flow.Start > _virtualMs)
        {
            _debts.Set(tenant, flow.Start);
            if (_debts.Count > maxDebts)
            {
                Forgive();
            }

            return;
        }

        flow = default;
        tenants.Release(tenant);
        if (Count == 0)
        {
            _virtualMs = 0;
            while (_debts.Count > 0)
            {
                Forgive();
            }
        }
    }

    private void Forgive()
    {
        var tenant = _debts.First;
        _debts.Remove(tenant);
        _flows[tenant] = default;
        tenants.Release(tenant);
    }

    private void TakeTurn(int tenant, double start, int work) => _turns.Insert(ref _first, tenant, KeyOf(start), ++_turn, work);

    private void Lead(int tenant, ref Flow flow, int ticket)
    {
        flow.Head = ticket;
        _turns.SetWork(_first, tenant, tickets.Work(ticket));
        _deadlines.Set(tenant, tickets.Key(ticket));
    }

    private void Grow()
    {
        Array.Resize(ref _flows, tenants.Capacity);
        Array.Resize(ref _byLength, tenants.Capacity * Lengths);
        _turns.Grow(tenants.Capacity);
        _deadlines.Grow(tenants.Capacity);
        _debts.Grow(tenants.Capacity);
    }

    // The bits of numbers that are not negative have the order of the numbers.
    private static long KeyOf(double start) => BitConverter.DoubleToInt64Bits(start);

    private struct Flow
    {
        public int Root;
        public int Head;
        public int Count;
        public long Work;
        public long Units;
        public double Weight;

        /// <summary>The start tag of its next turn; while nothing of it waits, where its last turn ended.</summary>
        public double Start;
    }
}
