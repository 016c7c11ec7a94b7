namespace OrleansInference.Capacity;

/// <summary>
/// Instances each of which serves more, of what would find no slot without it, than the same costs elsewhere. Of requests that cannot wait that is the load that
/// overflows from the slots before it (Erlang's B); those that can wait fill the slots up.
/// </summary>
public static class SpillStaffing
{
    // What a serverless endpoint of SageMaker takes: it is not asked to take all that instances do.
    private const long ServerlessPayloadBytes = 4 << 20;
    private const double ReliedOn = 0.5;

    /// <summary>
    /// What a request costs the operator where it is cheapest of the endpoints that serve all that this one does, in line and at no lower quality, over what it costs on a slot here that is always in use; 0: there is no such
    /// endpoint, or prices or service times are not known. Two real-time endpoints of one variant are no alternative to each other: neither can be had by the call.
    /// </summary>
    /// <param name="model">The model, prices filled in.</param>
    /// <param name="own">The variant.</param>
    /// <param name="endpoint">Its endpoint.</param>
    public static (double Ratio, int Slots) Elsewhere(ModelConfiguration model, VariantDefinition own, EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(own);
        ArgumentNullException.ThrowIfNull(endpoint);
        if (endpoint.Lane != Lane.Realtime || model.Model is null)
        {
            return default;
        }

        var (least, slots) = (double.PositiveInfinity, 0);
        foreach (var variant in model.Model.Variants)
        {
            foreach (var other in variant.Endpoints)
            {
                var serves = !other.Draining && other.MaxInstances > 0 && StandsIn(other)
                    && ((other.Lane == Lane.Serverless && variant.Quality >= own.Quality) || (other.Lane == Lane.Realtime && variant.Quality > own.Quality));
                if (serves && CostOf(other) < least)
                {
                    (least, slots) = (CostOf(other), other.MaxInstances * (other.Lane == Lane.Serverless ? 1 : Math.Max(1, other.ConcurrencyPerInstance)));
                }
            }
        }

        var cost = CostOf(endpoint);
        return double.IsFinite(least) && cost > 0 ? (least / cost, slots) : default;

        // What comes by the call only now and then may still be all that streams, or all that is long or large: it has to be taken there, too.
        bool StandsIn(EndpointDefinition other) =>
            (other.Streaming || !endpoint.Streaming)
            && other.MaxPayloadBytes >= Math.Min(endpoint.MaxPayloadBytes, ServerlessPayloadBytes)
            && other.MaxServiceSeconds >= endpoint.MaxServiceSeconds;

        double CostOf(EndpointDefinition each) =>
            each.Prior.ServiceP50Seconds * model.InstanceSecondCosts.GetValueOrDefault(each.Name).Nanos / (each.Lane == Lane.Serverless ? 1 : Math.Max(1, each.ConcurrencyPerInstance));
    }

    /// <summary>Instances worth having.</summary>
    /// <param name="load">The load in slots, not negative.</param>
    /// <param name="urgentShare">Share of it, 0..1, that cannot wait.</param>
    /// <param name="perInstance">Slots of an instance, at least 1.</param>
    /// <param name="most">Most instances.</param>
    /// <param name="spillRatio">What a slot's work costs elsewhere, over the price of a slot here.</param>
    /// <param name="elsewhere">Slots elsewhere; 0: as many as it takes. Half of them are relied on: what overflows comes in bursts.</param>
    internal static int Instances(double load, double urgentShare, int perInstance, int most, double spillRatio, int elsewhere = 0)
    {
        var overflow = load;
        var instances = 0;
        while (instances < most)
        {
            var slots = (instances + 1) * perInstance;
            var left = (urgentShare * load * ErlangC.Blocking(slots, load)) + ((1 - urgentShare) * Math.Max(0, load - slots));
            if ((overflow - left) * spillRatio <= perInstance && (elsewhere == 0 || overflow <= ReliedOn * elsewhere))
            {
                break;
            }

            (overflow, instances) = (left, instances + 1);
        }

        return instances;
    }
}
