namespace OrleansInference.Budgets;

/// <summary>How much of a limited quantity a holder is given, and how much it should keep when others need it.</summary>
internal static class EscrowShares
{
    /// <summary>
    /// Follows demand while there is plenty: what the holder wants, at most an equal part of half of the rest, so that
    /// grants shrink as the quantity runs out. A waiting request gets what it needs if that exists at all. When demand
    /// exceeds what is free anywhere, each holder keeps a part in proportion to its demand; and while a request elsewhere
    /// waits for more than such a part, the parts are of use to nobody and are called back, so that the last unit can be spent.
    /// </summary>
    public static (long Grant, long Unmet, long Keep) For(IReadOnlyList<LeaseRecord> leases, int index, long available, long atLeast, long awaited, long now)
    {
        var lease = leases[index];
        var holders = 0;
        var unmetElsewhere = awaited;
        Int128 free = 0;
        Int128 demand = awaited;
        for (var i = 0; i < leases.Count; i++)
        {
            var other = leases[i];
            free += other.Free;
            holders += other.Fenced ? 0 : 1;
            if (i == index)
            {
                demand += Math.Max(other.Wanted, atLeast);
                continue;
            }

            var unmet = now < other.UnmetUntil ? other.Unmet : 0;
            unmetElsewhere = Math.Max(unmetElsewhere, unmet);
            demand += other.Fenced ? 0 : Math.Max(other.Wanted, unmet);
        }

        var wanted = Math.Max(lease.Wanted, atLeast);
        var pool = Int128.Max(0, free + available);
        var keep = wanted > long.MaxValue / 2 ? long.MaxValue : 2 * wanted;
        if (demand > pool)
        {
            var share = (long)Int128.Min(keep, pool * wanted / demand);
            keep = share < unmetElsewhere ? 0 : share;
        }
        else if (unmetElsewhere > Math.Max(0, available))
        {
            keep = wanted;
        }

        if (available < 0)
        {
            // A limit was lowered below what is out. What others have spent unreported is not known, so no part would be
            // right: all of it is called back, and granted anew from what the limit leaves.
            keep = 0;
        }

        available = Math.Max(0, available);
        var grant = Math.Clamp(Math.Min(wanted, keep) - lease.Free, 0, available / (2 * Math.Max(1, holders)));
        if (lease.Free + grant >= atLeast)
        {
            return (grant, 0, Math.Max(keep, atLeast));
        }

        var missing = atLeast - lease.Free;
        return missing <= available ? (missing, 0, Math.Max(keep, atLeast)) : (0, atLeast, keep);
    }
}
