using OrleansInference.Queueing;

namespace OrleansInference.Capacity;

// The tickets: taken from silos, called in order, and taken out with a silo that is not heard.
public sealed partial class SlotLedger
{
    // Of the time of a lease, ten seconds: how long a silo with tickets may be silent, and how long without having heard that one was called.
    private const int SilentPart = 6;
    private const int UnheardPart = 20;

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
        AnswerExpired(now);
        foreach (var joined in queue.Joined)
        {
            if (holder.Waiting.ContainsKey(joined.Id) || holder.IsAnswered(joined.Id))
            {
                continue;
            }

            var result = _tickets.Join(holder, joined, InUse(), now, out var givenUp);
            foreach (var (owner, id) in givenUp)
            {
                owner.Answer(++_lastAnswer, new(id, SlotVerdict.TooLate, Math.Max(1, result.WaitMs)), now);
            }

            if (result.Verdict != EnqueueVerdict.Queued)
            {
                holder.Answer(++_lastAnswer, new(joined.Id, VerdictOf(result.Verdict), result.RetryAfterMs), now);
            }
        }
    }

    private void AnswerExpired(long now)
    {
        foreach (var (holder, id) in _tickets.TakeExpired(now))
        {
            holder.Answer(++_lastAnswer, new(id, SlotVerdict.Expired), now);
        }
    }

    private static SlotVerdict VerdictOf(EnqueueVerdict verdict) => verdict switch
    {
        EnqueueVerdict.TooLate => SlotVerdict.TooLate,
        EnqueueVerdict.TenantFull => SlotVerdict.TenantFull,
        _ => SlotVerdict.QueueFull,
    };

    private void Prepare(long now)
    {
        var inMs = Math.Max(Coming.At - now, (Coming.Until - now) / 2);
        _tickets.SetCapacity(Limit, Headroom, _demand.ServiceMs, inMs > 0 ? Math.Max(0, Coming.Slots) : 0, Math.Max(0, inMs), yields: HaveAllTold(now));
    }

    // After a restart silos tell their tickets one after the other: until all have, the headroom is all that is left to the urgent ones not yet told. Whose leases ran out while
    // nobody heard them are not known any more; like all that live, they report within the time of a lease.
    private bool HaveAllTold(long now)
    {
        if (now - _beganAt <= Escrow.Options.LeaseMs)
        {
            return false;
        }

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
        AnswerExpired(now);
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
}
