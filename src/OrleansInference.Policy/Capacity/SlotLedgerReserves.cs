namespace OrleansInference.Capacity;

// What silos keep free for those more urgent than all that wait: their parts of the headroom, on their leases.
public sealed partial class SlotLedger
{
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
}
