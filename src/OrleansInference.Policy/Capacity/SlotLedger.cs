using System.Collections.Immutable;
using OrleansInference.Budgets;
using OrleansInference.Queueing;

namespace OrleansInference.Capacity;

/// <summary>
/// Who has an endpoint's slots and who gets the next one. While there are enough, silos hold them on leases and give them out without asking. A request
/// that finds none on its silo becomes a ticket in one queue for all silos (<see cref="FairQueue{T}"/>); while tickets wait, silos send those that
/// arrive as tickets too and give back what comes free, so that order and fairness hold across the cluster just when they matter. Classes more urgent
/// than all that wait go on as before, on slots that their silos keep free for them. What is out is never more than the limit (<see cref="AdaptiveLimit"/>)
/// of the slots there are. The queue is not stored: after a restart silos hear of another queue and tell their tickets again. Not thread-safe.
/// </summary>
public sealed partial class SlotLedger
{
    private const int MostTenantsTold = 32;

    private readonly Dictionary<string, SlotHolder> _holders = new(StringComparer.Ordinal);
    private readonly SlotTickets _tickets;
    private readonly SlotDemand _demand;
    private long _lastQueue;
    private int _slots;
    private bool _keepsHeadroom;
    private bool _isDraining;
    private long _lastMessage;
    private long? _beganAt;

    // One for all silos and for good: a silo that was forgotten and comes back takes no answer for one that it has heard.
    private long _lastAnswer;

    /// <summary>Begins with no leases, or with what was stored.</summary>
    /// <param name="options">Times and bounds of the leases.</param>
    /// <param name="name">Names the queue: another number at each start, greater than 0.</param>
    /// <param name="leases">Leases that were stored.</param>
    /// <param name="limiter">The limit that was stored.</param>
    /// <param name="headroom">The headroom that was stored.</param>
    /// <param name="queue">Bounds of the queue.</param>
    public SlotLedger(EscrowOptions options, long name, EscrowState? leases = null, AdaptiveLimitState? limiter = null, HeadroomState? headroom = null, FairQueueOptions? queue = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(name, 1);
        _lastQueue = name - 1;
        Escrow = new(options, leases);
        _demand = new(limiter, headroom);
        _tickets = new(queue);
    }

    /// <summary>The slots out on leases.</summary>
    public Escrow Escrow { get; }

    /// <summary>Slots that may be in use.</summary>
    public int Limit => _demand.Limit(_slots);

    /// <summary>Slots that lower classes leave to <see cref="TrafficClass.High"/>.</summary>
    public int Headroom => _keepsHeadroom ? _demand.Headroom(Limit, _demand.ServiceMs, UrgentWaitMs / 2) : 0;

    /// <summary>How long a request of High can wait for a slot and still be in time, in milliseconds; 0: not known.</summary>
    public double UrgentWaitMs { get; set; }

    /// <summary>Slots of instances that are on their way, when they are expected, and until when at the latest, Unix ms: those who could be in time only with them are let wait. The longer they are overdue, the less soon they are expected.</summary>
    public (int Slots, long At, long Until) Coming { get; set; }

    /// <summary>What the calls did: the limit and the headroom rest on it.</summary>
    public SlotDemand Demand => _demand;

    /// <summary>Whether a silo has been heard of lately.</summary>
    public bool Knows(string holder) => _holders.ContainsKey(holder);

    /// <summary>The most of the slots in the hands of calls, as last reported.</summary>
    public long InFlight
    {
        get
        {
            var sum = 0L;
            foreach (var lease in Escrow.Leases)
            {
                sum += Math.Min(lease.Pending, lease.Outstanding);
            }

            return sum;
        }
    }

    /// <summary>Of <see cref="InFlight"/> calls of deferred jobs.</summary>
    public long DeferredInFlight
    {
        get
        {
            var sum = 0L;
            foreach (var holder in _holders.Values)
            {
                sum += holder.DeferredInFlight;
            }

            return Math.Min(sum, InFlight);
        }
    }

    /// <summary>Tickets that wait, by class.</summary>
    public ImmutableArray<int> Waiting => _tickets.ByClass;

    /// <summary>Slot-milliseconds that those who wait are expected to take.</summary>
    public long WaitingWorkMs => _tickets.WorkMs;

    /// <summary>Tickets that wait, by tenant.</summary>
    public IReadOnlyList<WaitingTenant> WaitingByTenant => _tickets.ByTenant;

    /// <summary>Silos whose circuit breaker keeps calls off.</summary>
    public IEnumerable<string> OpenBreakers => _holders.Values.Where(holder => holder.BreakerOpen).Select(holder => holder.Name);

    /// <summary>Tells what there is.</summary>
    /// <param name="slots">Slots of the instances in service, 0 or more.</param>
    /// <param name="keepsHeadroom">Whether lower classes leave a headroom.</param>
    /// <param name="priorServiceMs">How long a call takes, as long as none has been seen.</param>
    /// <param name="isDraining">Whether those who wait are served, and no lease grows beyond that.</param>
    public void SetCapacity(int slots, bool keepsHeadroom, double priorServiceMs, bool isDraining = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        if (slots < _slots)
        {
            // What is gone is called back at once.
            foreach (var holder in _holders.Values)
            {
                holder.HasNews = true;
            }
        }

        (_slots, _keepsHeadroom, _isDraining) = (slots, keepsHeadroom, isDraining);
        _demand.Assume(priorServiceMs);
    }

    /// <summary>Takes a silo's report, answers it and lets those go whose turn it is. What others are to hear of it is in <see cref="TakeNotices"/>.</summary>
    /// <param name="report">The lease report.</param>
    /// <param name="demand">What comes with it.</param>
    /// <param name="now">Unix ms.</param>
    /// <exception cref="ArgumentException">The report is malformed.</exception>
    public LeaseGrant Report(LeaseReport report, EndpointDemand demand, long now)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(demand);
        var holder = demand.Queue is null && !_holders.ContainsKey(report.Holder) ? null : HolderOf(report.Holder);
        if (holder is not null)
        {
            Hear(holder, demand.Queue, now);
        }

        Expire(now);
        _demand.Observe(demand, _slots, InFlight, now);
        var reply = Escrow.Report(Wish(report, holder, now), now, Grantable(report, holder));
        if (holder is null)
        {
            Serve(now);
            return reply.Grant;
        }

        Take(holder, demand.Queue, now);
        Serve(now, holder);

        // The answer to a report on a lease that was closed is not listened to: what it says is told again.
        var (from, isHeard) = (holder.ToldFrom, OpenLease(holder.Name) is not { } open || open.LeaseId == report.LeaseId);
        var answer = ToHolder(holder, reply.Grant.Fenced ? reply.Grant : GrantOf(report.Holder, report.LeaseId, reply.Grant), now);
        (holder.HasNews, holder.ToldFrom) = isHeard ? (false, holder.ToldFrom) : (holder.HasAnswers, from);
        return answer;
    }

    /// <summary>Looks whether anybody's turn has come, after slots were added or time has passed.</summary>
    public void Tick(long now)
    {
        Expire(now);
        Serve(now);
    }

    /// <summary>What silos are to be told that did not just report: to be sent when it is durable.</summary>
    public IReadOnlyList<(string Holder, LeaseGrant Grant)> TakeNotices(long now)
    {
        List<(string, LeaseGrant)>? notices = null;
        var from = _tickets.WaitingFrom(now);
        foreach (var holder in _holders.Values)
        {
            if ((holder.HasNews || IsMoreUrgent(from, holder.ToldFrom)) && OpenLease(holder.Name) is { } lease)
            {
                var grant = new LeaseGrant { LeaseId = lease.LeaseId, Granted = lease.Granted, SpendUntil = lease.SpendUntil, Keep = Escrow.Outstanding > Limit ? 0 : long.MaxValue };
                (notices ??= []).Add((holder.Name, ToHolder(holder, grant, now)));
            }
        }

        return notices ?? (IReadOnlyList<(string, LeaseGrant)>)[];
    }

    private static bool IsMoreUrgent(TrafficClass? one, TrafficClass? other) => one is { } first && (other is not { } second || first < second);

    private SlotHolder HolderOf(string name)
    {
        if (!_holders.TryGetValue(name, out var holder))
        {
            _holders.Add(name, holder = new(name, ++_lastQueue));
        }

        return holder;
    }

    private LeaseRecord? OpenLease(string holder)
    {
        LeaseRecord? open = null;
        foreach (var lease in Escrow.Leases)
        {
            open = lease.Holder == holder && !lease.Fenced ? lease : open;
        }

        return open;
    }

    private LeaseGrant GrantOf(string holder, long leaseId, LeaseGrant grant)
    {
        foreach (var lease in Escrow.Leases)
        {
            if (lease.Holder == holder && lease.LeaseId == leaseId)
            {
                return grant with { Granted = lease.Granted };
            }
        }

        return grant;
    }

    private void Hear(SlotHolder holder, SlotQueueReport? queue, long now)
    {
        holder.Hear(queue, now);
        if (queue is null)
        {
            return;
        }

        var (high, medium) = (0, 0);
        foreach (var each in _holders.Values)
        {
            (high, medium) = (high + each.HighInFlight, medium + each.MediumInFlight);
        }

        _demand.InFlight(high, medium, _tickets.High, now);
    }

    /// <summary>Slots in use: out, less what silos hold free. A slot that was called and not heard of yet is in use.</summary>
    private int InUse()
    {
        var inUse = 0L;
        foreach (var lease in Escrow.Leases)
        {
            // What a silo has that is not heard any more may be in use.
            var called = _holders.TryGetValue(lease.Holder, out var holder) ? holder.Called : lease.Outstanding;
            inUse += Math.Min(lease.Outstanding, lease.Pending + called);
        }

        return (int)Math.Min(int.MaxValue, inUse);
    }

    private LeaseGrant ToHolder(SlotHolder holder, LeaseGrant grant, long now)
    {
        var from = _tickets.WaitingFrom(now);
        var reserve = ReserveOf(holder);
        ImmutableArray<WaitingTenant> tenants = _tickets.Count == 0 ? [] : [.. WaitingByTenant.OrderByDescending(static waiting => waiting.Total).Take(MostTenantsTold)];
        holder.ToldFrom = from;
        holder.HasNews = false;
        return grant with
        {
            Keep = from is { } waiting ? waiting == TrafficClass.High ? 0 : Math.Min(grant.Keep, reserve) : grant.Keep,
            Queue = new()
            {
                Queue = holder.Queue,
                Message = ++_lastMessage,
                Sequence = _lastAnswer,
                Answers = holder.Answers(),
                WaitingFrom = from,
                Reserve = reserve,
                Waiting = Waiting,
                Tenants = tenants,
                WorkMs = _tickets.WorkByClass,
                Work = _tickets.WorkOf(tenants),
            },
        };
    }

    private void Expire(long now)
    {
        _beganAt ??= now;
        Escrow.Expire(now);
        foreach (var holder in _holders.Values)
        {
            if (now - holder.HeardAt <= Escrow.Options.LeaseMs)
            {
                continue;
            }

            _tickets.LeaveAll(holder);
            _holders.Remove(holder.Name);
        }
    }
}
