namespace OrleansInference.Capacity;

/// <summary>
/// Instances that deferred work keeps busy to the end beside the load: one more only when it would be busy all the time until the deadlines, and one that is there
/// goes when it would be idle half the time. Put off, the work finds more slots that are idle anyway; how long it can be put off is in what it needs. But slots that do it
/// stand by for a burst as well as idle ones, and cost nothing that would not be spent later: up to what a burst may ask for, the work is done sooner.
/// </summary>
internal static class DeferredStaffing
{
    // How much sooner than its deadlines ask for deferred work may be done where that keeps slots in service for a burst.
    private const double Haste = 2;

    /// <summary>Instances for the load and the deferred work; 0 if none is deferred.</summary>
    /// <param name="load">The load in slots that is not deferred.</param>
    /// <param name="observed">The deferred work.</param>
    /// <param name="perInstance">Slots of an instance, at least 1.</param>
    /// <param name="most">Most instances.</param>
    /// <param name="before">Instances that there are.</param>
    /// <param name="burst">Slots that a burst may ask for.</param>
    public static int Instances(double load, in CapacityObservation observed, int perInstance, int most, int before, double burst)
    {
        if (!(observed.DeferredSlots > 0))
        {
            return 0;
        }

        var instances = Math.Min(most, (load + observed.DeferredSlots) / perInstance);
        var whole = Math.Max((int)Math.Floor(instances), observed.DeferredIsDue ? 1 : 0);
        var ready = (int)Math.Min(Math.Min(most, Math.Ceiling(burst / perInstance)), (load + (Haste * observed.DeferredSlots)) / perInstance);
        whole = Math.Max(whole, ready);
        return before > whole && instances >= before - 0.5 ? Math.Min(before, whole + 1) : whole;
    }
}
