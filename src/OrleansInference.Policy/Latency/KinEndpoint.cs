namespace OrleansInference.Latency;

/// <summary>
/// An endpoint of the same variant on other hardware. The same weights do the same work there: a call takes a factor longer or shorter, whatever its size, so that what one has measured of a size
/// tells the other what it would take.
/// </summary>
/// <param name="Name">The endpoint.</param>
/// <param name="Prior">What its operator believes of it.</param>
internal readonly record struct KinEndpoint(EndpointName Name, LatencyPrior Prior)
{
    /// <summary>
    /// Buckets of <see cref="LatencyBuckets"/> by which a call takes longer on an endpoint than on this one: by the priors' medians, and the more both have measured of the same sizes, by the geometric mean of
    /// what they took. Null: nothing says.
    /// </summary>
    /// <param name="prior">What is believed of the endpoint.</param>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="alike">Those whose calls take as long as the endpoint's.</param>
    /// <param name="deltas">Measured sketches.</param>
    /// <param name="priorSamples">Weight of the priors.</param>
    /// <param name="enough">Samples beyond which a size counts no more.</param>
    public int? ShiftTo(LatencyPrior prior, EndpointName endpoint, ReadOnlySpan<EndpointName> alike, ReadOnlySpan<SketchDelta> deltas, double priorSamples, double enough)
    {
        Span<double> here = stackalloc double[2 * SizeClass.Count], there = stackalloc double[2 * SizeClass.Count];
        here.Clear();
        there.Clear();
        foreach (var delta in deltas)
        {
            if (delta.Phase == LatencyPhase.Service)
            {
                Count(delta.Endpoint == Name ? there : delta.Endpoint == endpoint || alike.Contains(delta.Endpoint) ? here : default, delta);
            }
        }

        var weight = prior.ServiceP50Seconds > 0 && Prior.ServiceP50Seconds > 0 ? priorSamples : 0;
        var sum = weight > 0 ? weight * Math.Log(prior.ServiceP50Seconds / Prior.ServiceP50Seconds) : 0;
        for (var size = 0; size < SizeClass.Count; size++)
        {
            var (samples, others) = (here[2 * size], there[2 * size]);
            if (samples > 0 && others > 0)
            {
                var counts = Math.Min(enough, Math.Min(samples, others));
                weight += counts;
                sum += counts * Math.Log(here[(2 * size) + 1] / samples / (there[(2 * size) + 1] / others));
            }
        }

        return weight > 0 ? LatencyBuckets.Shift(sum / weight) : null;
    }

    /// <summary>Adds samples and what they took in all, by size.</summary>
    private static void Count(Span<double> sums, SketchDelta delta)
    {
        if (sums.IsEmpty || delta.SizeClass is < 0 or >= SizeClass.Count)
        {
            return;
        }

        QuantileSketch.RequireValid(delta);
        for (var i = 0; i < delta.Counts.Length; i++)
        {
            sums[2 * delta.SizeClass] += delta.Counts[i];
            sums[(2 * delta.SizeClass) + 1] += delta.Counts[i] * LatencyBuckets.Middle(delta.FirstBucket + i);
        }
    }
}
