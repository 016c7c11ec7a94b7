namespace OrleansInference.Latency;

/// <summary>
/// A latency distribution for the hot path: the cumulative probability at every bucket edge of <see cref="LatencyBuckets"/>
/// in the range in use, linear in between. Immutable.
/// </summary>
public sealed class LatencyDistribution
{
    /// <summary>
    /// Cumulative probabilities that cut a distribution into atoms for convolution, finer towards the tail where deadlines
    /// are decided. An atom sits at the upper end of its part, so a sum's probability is never predicted too high.
    /// </summary>
    private static readonly double[] AtomEdges = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995, 1];

    // Normal quantiles of AtomEdges; the last one stands for 0.9995.
    private static readonly double[] AtomNormals =
        [-1.281_551_6, -0.674_489_8, -0.253_347_1, 0.125_661_3, 0.524_400_5, 0.841_621_2, 1.126_391_1, 1.405_071_6, 1.644_853_6, 1.880_793_6, 2.170_090_4, 2.575_829_3, 3.290_526_7];

    private readonly double[] _cumulative;
    private readonly double[] _atoms;
    private readonly int _first;
    private readonly double _from;
    private readonly double _to;

    private LatencyDistribution(double[] cumulative, int first, double mean)
    {
        _cumulative = cumulative;
        _first = first;
        _from = LatencyBuckets.LowerEdge(first);
        _to = LatencyBuckets.UpperEdge(first + cumulative.Length - 1);
        Mean = mean;
        _atoms = Array.ConvertAll(AtomEdges, Quantile);
    }

    /// <summary>No time at all.</summary>
    public static LatencyDistribution Zero { get; } = new([1], 0, 0);

    /// <summary>The mean in milliseconds.</summary>
    public double Mean { get; }

    /// <summary>The distribution of weights by bucket, as many as <see cref="LatencyBuckets.Count"/>; with no weight, <see cref="Zero"/>.</summary>
    public static LatencyDistribution FromWeights(ReadOnlySpan<double> weights)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(weights.Length, LatencyBuckets.Count);
        var (first, end) = BucketWeights.Used(weights);
        if (end == 0)
        {
            return Zero;
        }

        double total = 0, moment = 0;
        for (var i = first; i < end; i++)
        {
            total += weights[i];
            moment += weights[i] * LatencyBuckets.Middle(i);
        }

        var cumulative = new double[end - first];
        double sum = 0;
        for (var i = first; i < end; i++)
        {
            sum += weights[i];
            cumulative[i - first] = Math.Min(1, sum / total);
        }

        cumulative[^1] = 1;
        return new(cumulative, first, moment / total);
    }

    /// <summary>The samples of a sketch; an empty one gives <see cref="Zero"/>.</summary>
    public static LatencyDistribution FromSketch(QuantileSketch sketch)
    {
        ArgumentNullException.ThrowIfNull(sketch);
        var weights = new double[LatencyBuckets.Count];
        sketch.AddTo(weights, 1);
        return FromWeights(weights);
    }

    /// <summary>P(X ≤ <paramref name="milliseconds"/>).</summary>
    public double ProbabilityWithin(double milliseconds)
    {
        if (!(milliseconds > 0))
        {
            return milliseconds == 0 && ReferenceEquals(this, Zero) ? 1 : 0;
        }

        if (milliseconds <= _from)
        {
            return 0;
        }

        // Most deadlines are far from what is asked about: no logarithm for them.
        if (milliseconds >= _to || ReferenceEquals(this, Zero))
        {
            return 1;
        }

        var bucket = LatencyBuckets.IndexOf(milliseconds);
        var i = Math.Clamp(bucket - _first, 0, _cumulative.Length - 1);

        var below = i == 0 ? 0 : _cumulative[i - 1];
        double lower = LatencyBuckets.LowerEdge(bucket), upper = LatencyBuckets.UpperEdge(bucket);
        return below + ((_cumulative[i] - below) * Math.Clamp((milliseconds - lower) / (upper - lower), 0, 1));
    }

    /// <summary>The value below which a share of <paramref name="probability"/> lies, in milliseconds.</summary>
    public double Quantile(double probability)
    {
        QuantileSketch.RequireProbability(probability);
        if (ReferenceEquals(this, Zero) || Mean == 0)
        {
            return 0;
        }

        int low = 0, high = _cumulative.Length - 1;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_cumulative[middle] < probability)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        var below = low == 0 ? 0 : _cumulative[low - 1];
        var mass = _cumulative[low] - below;
        double lower = LatencyBuckets.LowerEdge(_first + low), upper = LatencyBuckets.UpperEdge(_first + low);
        return mass <= 0 ? lower : lower + ((upper - lower) * Math.Clamp((probability - below) / mass, 0, 1));
    }

    /// <summary>
    /// P(delay + scale × <paramref name="start"/> + this ≤ <paramref name="milliseconds"/>) for independent parts, never too
    /// high by more than the interpolation inside a bucket.
    /// </summary>
    public double ProbabilityWithin(double milliseconds, double delay, LatencyDistribution start, double scale)
    {
        ArgumentNullException.ThrowIfNull(start);
        double probability = 0, edge = 0;
        for (var i = 0; i < AtomEdges.Length; i++)
        {
            var within = ProbabilityWithin(milliseconds - delay - (scale * start._atoms[i]));
            if (within == 0)
            {
                break;
            }

            probability += (AtomEdges[i] - edge) * within;
            edge = AtomEdges[i];
        }

        return probability;
    }

    /// <summary>
    /// P(wait + this ≤ <paramref name="milliseconds"/>) for an independent gamma-distributed wait: the time until a given
    /// number of busy slots have come free. Its quantiles follow Wilson and Hilferty (PNAS 17, 1931).
    /// </summary>
    public double ProbabilityWithin(double milliseconds, double meanWait, double shape)
    {
        double probability = 0, edge = 0, spread = 1 / (3 * Math.Sqrt(shape)), centre = 1 - (1 / (9 * shape));
        for (var i = 0; i < AtomEdges.Length; i++)
        {
            var root = Math.Max(0, centre + (AtomNormals[i] * spread));
            var within = ProbabilityWithin(milliseconds - (meanWait * root * root * root));
            if (within == 0)
            {
                break;
            }

            probability += (AtomEdges[i] - edge) * within;
            edge = AtomEdges[i];
        }

        return probability;
    }
}
