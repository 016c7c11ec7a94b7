namespace OrleansInference.Latency;

/// <summary>How many calls of each size an endpoint has measured, and the bucket in which they lie on average: the logarithm of what they took, of which a few that took very long change little.</summary>
internal sealed class SizesMeasured
{
    private readonly double[] _samples = new double[SizeClass.Count];
    private readonly double[] _buckets = new double[SizeClass.Count];

    /// <summary>Samples of a size.</summary>
    public double Samples(int size) => _samples[size];

    /// <summary>The bucket of a size on average; 0 without samples.</summary>
    public double MeanBucket(int size) => _samples[size] > 0 ? _buckets[size] / _samples[size] : 0;

    /// <summary>What is in measured sketches, by endpoint.</summary>
    public static Dictionary<EndpointName, SizesMeasured> Of(ReadOnlySpan<SketchDelta> deltas)
    {
        Dictionary<EndpointName, SizesMeasured> measured = [];
        foreach (var delta in deltas)
        {
            if (delta.Phase != LatencyPhase.Service || delta.SizeClass is < 0 or >= SizeClass.Count)
            {
                continue;
            }

            QuantileSketch.RequireValid(delta);
            if (!measured.TryGetValue(delta.Endpoint, out var sizes))
            {
                measured.Add(delta.Endpoint, sizes = new());
            }

            for (var i = 0; i < delta.Counts.Length; i++)
            {
                sizes._samples[delta.SizeClass] += delta.Counts[i];
                sizes._buckets[delta.SizeClass] += delta.Counts[i] * (double)(delta.FirstBucket + i);
            }
        }

        return measured;
    }
}
