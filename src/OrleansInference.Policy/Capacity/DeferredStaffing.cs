namespace OrleansInference.Capacity;

/// <summary>
/// Instances that deferred work keeps busy to the end beside the load: one more only when it would be busy all the time until the deadlines, and one that is there
/// goes when it would be idle half the time. Put off, the work finds more slots that are idle anyway; how long it can be put off is in what it needs.
/// </summary>
internal static class DeferredStaffing
{
    /// <summary>Instances for the load and the deferred work; 0 if none is deferred.</summary>
    /// <param name="load">The load in slots that is not deferred.</param>
    /// <param name="observed">The deferred work.</param>
    /// <param name="perInstance">Slots of an instance, at least 1.</param>
    /// <param name="most">Most instances.</param>
    /// <param name="before">Instances that there are.</param>
    public static int Instances(double load, in CapacityObservation observed, int perInstance, int most, int before)
    {
        if (!(observed.DeferredSlots > 0))
        {
            return 0;
        }

        var instances = Math.Min(most, (load + observed.DeferredSlots) / perInstance);
        var whole = Math.Max((int)Math.Floor(instances), observed.DeferredIsDue ? 1 : 0);
        return before > whole && instances >= before - 0.5 ? Math.Min(before, whole + 1) : whole;
    }
}
