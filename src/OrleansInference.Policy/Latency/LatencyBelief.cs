using System.Buffers;

namespace OrleansInference.Latency;

/// <summary>
/// What is believed of one endpoint's latency: measured sketches over a configured prior. The prior counts as a few
/// pseudo-samples that fade as evidence comes; each size class in turn leans on the endpoint as a whole while it has few
/// samples of its own. What was measured of endpoints alike, which run the same model on the same instances, stands before both priors.
/// </summary>
internal sealed class LatencyBelief
{
    private readonly LatencyDistribution[] _service;

    private LatencyBelief(LatencyDistribution[] service, LatencyDistribution overall, LatencyDistribution coldStart, LatencyDistribution modelLoad)
    {
        _service = service;
        Overall = overall;
        ColdStart = coldStart;
        ModelLoad = modelLoad;
    }

    /// <summary>Service time over all sizes.</summary>
    public LatencyDistribution Overall { get; }

    /// <summary>Time from nothing warm to the start of service.</summary>
    public LatencyDistribution ColdStart { get; }

    /// <summary>Time to load the model into memory on a shared endpoint; zero elsewhere.</summary>
    public LatencyDistribution ModelLoad { get; }

    /// <summary>Service time of a size class.</summary>
    public LatencyDistribution Service(int sizeClass) => _service[sizeClass];

    /// <summary>The belief from the prior and the deltas of one endpoint.</summary>
    /// <param name="prior">The operator's prior.</param>
    /// <param name="deltas">Measured sketches; those of endpoints that are neither this, nor alike, nor kin are ignored.</param>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="alike">The endpoints whose calls take as long as this one's.</param>
    /// <param name="kin">The endpoints whose calls take as long as this one's times a factor: they say what a size takes that neither this one nor those alike have measured.</param>
    /// <param name="priorSamples">Weight of the prior with no evidence.</param>
    /// <param name="priorGoneAt">Samples at which the prior has no weight left.</param>
    public static LatencyBelief Build(LatencyPrior prior, ReadOnlySpan<SketchDelta> deltas, EndpointName endpoint, ReadOnlySpan<EndpointName> alike, ReadOnlySpan<KinEndpoint> kin, double priorSamples, double priorGoneAt)
    {
        var buffer = ArrayPool<double>.Shared.Rent(LatencyBuckets.Count * 6);
        try
        {
            var overall = buffer.AsSpan(0, LatencyBuckets.Count);
            var cold = buffer.AsSpan(LatencyBuckets.Count, LatencyBuckets.Count);
            var own = buffer.AsSpan(2 * LatencyBuckets.Count, LatencyBuckets.Count);
            var load = buffer.AsSpan(3 * LatencyBuckets.Count, LatencyBuckets.Count);
            var others = buffer.AsSpan(4 * LatencyBuckets.Count, LatencyBuckets.Count);
            var related = buffer.AsSpan(5 * LatencyBuckets.Count, LatencyBuckets.Count);
            overall.Clear();
            cold.Clear();
            load.Clear();
            double started = 0, loaded = 0;
            foreach (var delta in deltas)
            {
                if (delta.Endpoint == endpoint && delta.Phase == LatencyPhase.ColdStart)
                {
                    started += AddTo(cold, delta);
                }
                else if (delta.Endpoint == endpoint && delta.Phase == LatencyPhase.ModelLoad)
                {
                    loaded += AddTo(load, delta);
                }
            }

            var served = AddOverall(overall, deltas, [endpoint], priorGoneAt);
            if (PriorWeight(served, priorSamples, priorGoneAt) is > 0 and var weight)
            {
                others.Clear();
                AddLognormal(others, prior.ServiceP50Seconds * 1000, prior.ServiceP99Seconds * 1000, PriorWeight(AddOverall(others, deltas, alike, priorGoneAt), priorSamples, priorGoneAt));
                AddScaled(overall, others, weight);
            }

            // Only the usual start is configured, and the usual load; their tail is assumed half as long again.
            AddLognormal(cold, prior.ColdStartSeconds * 1000, prior.ColdStartSeconds * 1500, PriorWeight(started, priorSamples, priorGoneAt));
            AddLognormal(load, prior.ModelLoadSeconds * 1000, prior.ModelLoadSeconds * 1500, PriorWeight(loaded, priorSamples, priorGoneAt));
            var whole = LatencyDistribution.FromWeights(overall);
            var service = new LatencyDistribution[SizeClass.Count];
            for (var size = 0; size < service.Length; size++)
            {
                own.Clear();
                others.Clear();
                related.Clear();
                double samples = 0, told = 0, scaled = 0;
                foreach (var delta in deltas)
                {
                    if (delta.Phase != LatencyPhase.Service || delta.SizeClass != size)
                    {
                        continue;
                    }

                    if (delta.Endpoint == endpoint)
                    {
                        samples += AddTo(own, delta);
                    }
                    else if (alike.Contains(delta.Endpoint))
                    {
                        told += AddTo(others, delta);
                    }
                    else
                    {
                        foreach (var other in kin)
                        {
                            scaled += delta.Endpoint == other.Name ? AddTo(related, delta, shift: other.Shift) : 0;
                        }
                    }
                }

                if (samples + told + scaled <= 0)
                {
                    service[size] = whole;
                    continue;
                }

                // What the endpoint has served may be all of another size: it says the least.
                var least = overall;
                if (scaled > 0)
                {
                    AddScaled(related, overall, PriorWeight(scaled, priorSamples, priorGoneAt));
                    least = related;
                }

                AddScaled(others, least, PriorWeight(told, priorSamples, priorGoneAt));
                AddScaled(own, others, PriorWeight(samples, priorSamples, priorGoneAt));
                service[size] = LatencyDistribution.FromWeights(own);
            }

            return new(service, whole, LatencyDistribution.FromWeights(cold), LatencyDistribution.FromWeights(load));
        }
        finally
        {
            ArrayPool<double>.Shared.Return(buffer);
        }
    }

    /// <summary>Adds what some endpoints have measured over all sizes: what came of late, and the less that is, the more of what came before that.</summary>
    private static double AddOverall(Span<double> weights, ReadOnlySpan<SketchDelta> deltas, ReadOnlySpan<EndpointName> endpoints, double enough)
    {
        double served = 0;
        foreach (var delta in deltas)
        {
            served += delta.Phase == LatencyPhase.Service && endpoints.Contains(delta.Endpoint) ? AddTo(weights, delta, SlicedSketch.RecentShare(delta)) : 0;
        }

        if (Math.Max(0, 1 - (served / enough)) is > 0 and var missing)
        {
            foreach (var delta in deltas)
            {
                served += delta.Phase == LatencyPhase.Service && delta.Remembered > 0 && endpoints.Contains(delta.Endpoint) ? AddTo(weights, delta, missing * (1 - SlicedSketch.RecentShare(delta))) : 0;
            }
        }

        return served;
    }

    private static double PriorWeight(double samples, double priorSamples, double priorGoneAt) =>
        priorSamples * Math.Max(0, 1 - (samples / priorGoneAt));

    private static double AddTo(Span<double> weights, SketchDelta delta, double share = 1, int shift = 0)
    {
        QuantileSketch.RequireValid(delta);
        double sum = 0;
        var counts = delta.Counts.AsSpan();
        for (var i = 0; i < counts.Length; i++)
        {
            var bucket = delta.FirstBucket + i;
            weights[shift == 0 ? bucket : Math.Clamp(bucket + shift, 0, LatencyBuckets.Count - 1)] += share * counts[i];
            sum += share * counts[i];
        }

        return sum;
    }

    /// <summary>Adds other weights, as many in sum as <paramref name="weight"/>.</summary>
    private static void AddScaled(Span<double> weights, ReadOnlySpan<double> others, double weight)
    {
        var total = weight <= 0 ? 0 : BucketWeights.Sum(others);
        if (total > 0)
        {
            BucketWeights.AddScaled(weights, others, weight / total);
        }
    }

    /// <summary>Adds a lognormal through the median and the 99th percentile, cut at 3.5 standard deviations.</summary>
    private static void AddLognormal(Span<double> weights, double p50, double p99, double weight)
    {
        if (!(p50 > 0) || weight <= 0)
        {
            return;
        }

        const double Cut = 3.5;
        var sigma = Math.Log(Math.Max(p99, p50) / p50) / NormalDistribution.Z99;
        if (sigma < 1e-3)
        {
            weights[LatencyBuckets.IndexOf(p50)] += weight;
            return;
        }

        var first = LatencyBuckets.IndexOf(p50 * Math.Exp(-Cut * sigma));
        var last = LatencyBuckets.IndexOf(p50 * Math.Exp(Cut * sigma));
        var mass = 1 - (2 * NormalDistribution.Cdf(-Cut));
        var below = 0.0;
        for (var i = first; i <= last; i++)
        {
            var z = i == last ? Cut : Math.Clamp(Math.Log(LatencyBuckets.UpperEdge(i) / p50) / sigma, -Cut, Cut);
            var cumulative = (NormalDistribution.Cdf(z) - NormalDistribution.Cdf(-Cut)) / mass;
            weights[i] += weight * (cumulative - below);
            below = cumulative;
        }
    }
}
