namespace OrleansInference.Capacity;

/// <summary>
/// Instances each of which serves more, of what would find no slot without it, than the same costs elsewhere. Of requests that cannot wait that is the load that
/// overflows from the slots before it (Erlang's B); those that can wait fill the slots up.
/// </summary>
internal static class SpillStaffing
{
    /// <summary>Instances worth having.</summary>
    /// <param name="load">The load in slots, not negative.</param>
    /// <param name="urgentShare">Share of it, 0..1, that cannot wait.</param>
    /// <param name="perInstance">Slots of an instance, at least 1.</param>
    /// <param name="most">Most instances.</param>
    /// <param name="spillRatio">What a slot's work costs elsewhere, over the price of a slot here.</param>
    public static int Instances(double load, double urgentShare, int perInstance, int most, double spillRatio)
    {
        var overflow = load;
        var instances = 0;
        while (instances < most)
        {
            var slots = (instances + 1) * perInstance;
            var left = (urgentShare * load * ErlangC.Blocking(slots, load)) + ((1 - urgentShare) * Math.Max(0, load - slots));
            if ((overflow - left) * spillRatio <= perInstance)
            {
                break;
            }

            (overflow, instances) = (left, instances + 1);
        }

        return instances;
    }
}
