namespace OrleansInference.Queueing;

/// <summary>The slots that the tickets of a <see cref="FairQueue{T}"/> wait for, and how long they wait for them.</summary>
/// <param name="Slots">Slots that may be in use.</param>
/// <param name="Headroom">Slots that lower classes leave to <see cref="TrafficClass.High"/>; they always have one.</param>
/// <param name="MeanServiceMs">How long a call takes on average, in milliseconds.</param>
/// <param name="More">Slots that are on their way.</param>
/// <param name="MoreInMs">In how many milliseconds they come.</param>
/// <param name="Yields">Whether the headroom yields to <see cref="TrafficClass.Medium"/>.</param>
internal readonly record struct QueueSlots(int Slots, int Headroom, double MeanServiceMs, int More, long MoreInMs, bool Yields)
{
    /// <summary>Slots of which a class may have one.</summary>
    public int For(TrafficClass trafficClass) => For(trafficClass, Headroom);

    /// <summary>Slots of which a class may have one, if so many are kept from lower ones.</summary>
    public int For(TrafficClass trafficClass, int headroom) => trafficClass == TrafficClass.High ? Slots : Math.Min(Slots, Math.Max(1, Slots - headroom));

    /// <summary>The headroom that is kept from a class, of which so much work waits and should be done within so long.</summary>
    public int HeadroomFor(TrafficClass trafficClass, long work, long withinMs)
    {
        if (!Yields || Headroom == 0 || trafficClass != TrafficClass.Medium)
        {
            return Headroom;
        }

        var needed = Math.Ceiling(work / Math.Max(withinMs, Math.Max(1, MeanServiceMs)));
        return (int)Math.Clamp(Slots - needed, 0, Headroom);
    }

    /// <summary>How long it takes until a slot comes free for a class behind so much work, in milliseconds; 0 if there are no slots and none is on its way.</summary>
    public long WaitMs(double ahead, TrafficClass trafficClass, int slotsInUse)
    {
        // The headroom yields to those who would else be late.
        var slots = For(trafficClass, trafficClass == TrafficClass.Medium && Yields ? 0 : Headroom);
        if (slots == 0)
        {
            return More == 0 ? 0 : (long)Math.Min(long.MaxValue / 4, MoreInMs + (ahead / More));
        }

        // The first of n busy slots comes free after about service/(n+1), each free one takes a ticket at once.
        var free = Math.Max(0, slots - slotsInUse);
        ahead = free == 0 ? ahead + (MeanServiceMs * slots / (slots + 1)) : Math.Max(0, ahead - ((free - 1) * MeanServiceMs));
        var wait = ahead / slots;
        if (More > 0 && wait > MoreInMs)
        {
            wait = MoreInMs + ((ahead - ((double)slots * MoreInMs)) / (slots + More));
        }

        return (long)Math.Min(long.MaxValue / 4, wait);
    }
}
