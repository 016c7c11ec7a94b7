namespace OrleansInference.Latency;

/// <summary>
/// An endpoint of the same variant on other hardware. The same weights do the same work there: a call takes a factor longer or shorter, whatever its size, so that what one has measured of a size
/// tells the other what it would take. The factor is the geometric mean over the calls of the sizes that both have measured; what operators believe does not count.
/// </summary>
/// <param name="Name">The endpoint.</param>
/// <param name="Shift">Buckets of <see cref="LatencyBuckets"/> by which a call takes longer here than there.</param>
/// <param name="Samples">Samples that say so.</param>
internal readonly record struct KinEndpoint(EndpointName Name, int Shift, double Samples)
{
    /// <summary>The most that are asked: those with the most samples of the same sizes.</summary>
    public const int Most = 4;

    /// <summary>The kin of an endpoint, as far as it is known by what factor they differ.</summary>
    /// <param name="own">The endpoint, or null if it has measured nothing.</param>
    /// <param name="others">The endpoints that could be, and what they have measured.</param>
    /// <param name="least">The fewest samples of the same sizes.</param>
    /// <param name="most">Samples beyond which a size counts no more.</param>
    public static KinEndpoint[] Of(SizesMeasured? own, IEnumerable<(EndpointName Name, SizesMeasured Measured)> others, double least, double most) =>
        own is null ? [] : [.. others.Select(other => Of(own, other.Name, other.Measured, most)).Where(kin => kin.Samples >= least).OrderByDescending(static kin => kin.Samples).Take(Most)];

    private static KinEndpoint Of(SizesMeasured own, EndpointName name, SizesMeasured other, double most)
    {
        double samples = 0, buckets = 0;
        for (var size = 0; size < SizeClass.Count; size++)
        {
            if (Math.Min(most, Math.Min(own.Samples(size), other.Samples(size))) is > 0 and var counts)
            {
                samples += counts;
                buckets += counts * (own.MeanBucket(size) - other.MeanBucket(size));
            }
        }

        return new(name, samples > 0 ? (int)Math.Round(buckets / samples) : 0, samples);
    }
}
