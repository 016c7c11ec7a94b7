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
public sealed class SlotLedger
{
    private const int MostTenantsTold = 32;

    // Of the time of a lease, ten seconds: how long a silo with tickets may be silent, and how long without having heard that one was called.
    private const int SilentPart = 6;
    private const int UnheardPart = 20;

    private readonly Dictionary<string, SlotHolder> _holders = new(StringComparer.Ordinal);
    private readonly SlotTickets _tickets;
    private readonly SlotDemand _demand;
    private long _lastQueue;
    private int _slots;
    private bool _keepsHeadroom;
    private bool _isDraining;
    private long _lastMessage;

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

    /// <summary>What a silo's lease should grow to: what it asks for; while others wait, no more than it keeps for those more urgent.</summary>
    private LeaseReport Wish(LeaseReport report, SlotHolder? holder, long now)
    {
        if (_slots == 0 || _isDraining)
        {
            return report with { Wanted = 0, AtLeast = 0 };
        }

        if (holder is null)
        {
            return report;
        }

        var reserve = ReserveOf(holder);
        return _tickets.WaitingFrom(now) is { } from
            ? report with { Wanted = from == TrafficClass.High ? 0 : reserve, AtLeast = 0 }
            : report with { Wanted = Math.Min(long.MaxValue / 4, report.Wanted) + reserve };
    }

    /// <summary>Slots that leases may grow by. What of the headroom is on no silo's lease stays here.</summary>
    private long Grantable(LeaseReport report, SlotHolder? holder)
    {
        var free = Limit - Escrow.Outstanding;
        if (holder is null || report.AtLeast > 0 || free <= 0)
        {
            return free;
        }

        var kept = Headroom;
        foreach (var each in _holders.Values)
        {
            // What another silo is to keep and does not have yet is not given to this one either.
            kept -= (int)(each == holder ? ReserveOf(each) : Math.Min(ReserveOf(each), FreeOf(each)));
        }

        return Math.Max(0, free - Math.Max(0, kept));
    }

    private int ReserveOf(SlotHolder holder)
    {
        var sum = 0.0;
        foreach (var each in _holders.Values)
        {
            sum += each.HighRate;
        }

        return sum > 0 ? (int)(Headroom * (holder.HighRate / sum) + 1e-9) : 0;
    }

    private void Take(SlotHolder holder, SlotQueueReport? queue, long now)
    {
        if (queue is null)
        {
            return;
        }

        foreach (var id in queue.Left)
        {
            _tickets.Leave(holder, id);
        }

        if (queue.Joined.IsEmpty)
        {
            return;
        }

        Prepare(now);
        foreach (var joined in queue.Joined)
        {
            if (holder.Waiting.ContainsKey(joined.Id) || holder.IsAnswered(joined.Id))
            {
                continue;
            }

            var result = _tickets.Join(holder, joined, InUse(), now);
            if (result.Verdict != EnqueueVerdict.Queued)
            {
                holder.Answer(++_lastAnswer, new(joined.Id, VerdictOf(result.Verdict), result.RetryAfterMs), now);
            }
        }
    }

    private static SlotVerdict VerdictOf(EnqueueVerdict verdict) => verdict switch
    {
        EnqueueVerdict.TooLate => SlotVerdict.TooLate,
        EnqueueVerdict.TenantFull => SlotVerdict.TenantFull,
        _ => SlotVerdict.QueueFull,
    };

    private void Prepare(long now) => _tickets.SetCapacity(Limit, Headroom, _demand.ServiceMs, yields: HaveAllTold(now));

    // After a restart silos tell their tickets one after the other: until all have, the headroom is all that is left to the urgent ones not yet told.
    private bool HaveAllTold(long now)
    {
        foreach (var lease in Escrow.Leases)
        {
            // Whose lease has run out serves nobody.
            if (now < lease.SpendUntil + Escrow.Options.SkewMs && !(_holders.TryGetValue(lease.Holder, out var holder) && holder.HasToldTickets))
            {
                return false;
            }
        }

        return true;
    }

    /// <param name="now">Unix ms.</param>
    /// <param name="reporter">The silo that is being answered: it hears of its slots at once.</param>
    private void Serve(long now, SlotHolder? reporter = null)
    {
        if (_tickets.Count == 0)
        {
            return;
        }

        DropSilent(now);
        Prepare(now);
        FillReserves(now);

        // A silo that has not heard of several that were called is waited for, and if it stays silent passed over.
        var mostUnheard = Math.Max(1, Limit / (2 * Math.Max(1, _holders.Count)));
        foreach (var (holder, id) in _tickets.TakeExpired(now))
        {
            holder.Answer(++_lastAnswer, new(id, SlotVerdict.Expired), now);
        }

        while (Limit > Escrow.Outstanding)
        {
            var inUse = InUse();
            if (_tickets.NextHolder(inUse, now) is not { } front || (front != reporter && front.Called >= mostUnheard) || !_tickets.TryTake(inUse, now, out var called, out var ticket))
            {
                break;
            }

            called.Answer(++_lastAnswer, new(ticket, Escrow.Give(called.Name, 1, now) is null ? SlotVerdict.AskAgain : SlotVerdict.Called), now);
        }

        _tickets.Remember(now);
    }

    /// <summary>
    /// Takes out the tickets of silos that are not heard: who waits reports several times a second. A slot called for one that has died would be out until its
    /// calls could no longer be running. If it is alive after all it hears of another queue, and tells its tickets again.
    /// </summary>
    private void DropSilent(long now)
    {
        foreach (var holder in _holders.Values)
        {
            if (holder.Waiting.Count > 0 && (now - holder.HeardAt > Escrow.Options.LeaseMs / SilentPart || holder.UnheardSince < now - (Escrow.Options.LeaseMs / UnheardPart)))
            {
                _tickets.LeaveAll(holder);
                holder.Queue = ++_lastQueue;
            }
        }
    }

    /// <summary>While only lower classes wait, silos go on serving the urgent one from what they keep free for it.</summary>
    private void FillReserves(long now)
    {
        if (_tickets.High > 0)
        {
            return;
        }

        foreach (var holder in _holders.Values)
        {
            var missing = Math.Min(ReserveOf(holder) - FreeOf(holder), Limit - Escrow.Outstanding);
            if (missing > 0 && Escrow.Give(holder.Name, missing, now) is not null)
            {
                holder.HasNews = true;
            }
        }
    }

    private long FreeOf(SlotHolder holder)
    {
        var free = -(long)holder.Called;
        foreach (var lease in Escrow.Leases)
        {
            free += lease.Holder == holder.Name ? lease.Free : 0;
        }

        return Math.Max(0, free);
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
                Tenants = _tickets.Count == 0 ? [] : [.. WaitingByTenant.OrderByDescending(static waiting => waiting.Total).Take(MostTenantsTold)],
            },
        };
    }

    private void Expire(long now)
    {
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
