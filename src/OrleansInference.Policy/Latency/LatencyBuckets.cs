namespace OrleansInference.Latency;

/// <summary>
/// The bucket layout shared by every latency sketch: DDSketch's logarithmic mapping (Masson, Rim, Lee: "DDSketch: a fast
/// and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019). Bucket i ≥ 1 holds the values in
/// (Smallest·γ^(i-1), Smallest·γ^i]; bucket 0 everything up to <see cref="SmallestMs"/>. The layout is part of the
/// contract <see cref="SketchDelta"/>: changing it makes stored sketches unreadable.
/// </summary>
public static class LatencyBuckets
{
    /// <summary>The guaranteed bound of a quantile's relative error.</summary>
    public const double RelativeError = 0.01;

    /// <summary>Values at or below this are told apart no further.</summary>
    public const double SmallestMs = 0.1;

    /// <summary>Values above this, two days, count as this.</summary>
    public const double LargestMs = 172_800_000;

    // A little finer than 1 % asks for, so that rounding in the logarithm cannot push a value past the bound.
    private const double Accuracy = 0.009_9;
    private const double Gamma = (1 + Accuracy) / (1 - Accuracy);
    private static readonly double PerLog = 1 / Math.Log(Gamma);
    private static readonly double[] UpperEdges = BuildEdges();

    /// <summary>Number of buckets.</summary>
    public static int Count => UpperEdges.Length;

    /// <summary>The bucket of a value; values that are not a positive number go to the first.</summary>
    public static int IndexOf(double milliseconds)
    {
        if (!(milliseconds > SmallestMs))
        {
            return 0;
        }

        var index = (int)Math.Ceiling(Math.Log(Math.Min(milliseconds, LargestMs) * (1 / SmallestMs)) * PerLog);
        return Math.Clamp(index, 1, UpperEdges.Length - 1);
    }

    /// <summary>The largest value of a bucket.</summary>
    public static double UpperEdge(int bucket) => UpperEdges[bucket];

    /// <summary>The value below all of a bucket's.</summary>
    public static double LowerEdge(int bucket) => bucket == 0 ? 0 : UpperEdges[bucket - 1];

    /// <summary>The value that stands for a bucket: within <see cref="RelativeError"/> of all its values.</summary>
    public static double Middle(int bucket) => bucket == 0 ? SmallestMs : UpperEdges[bucket] * (2 / (1 + Gamma));

    private static double[] BuildEdges()
    {
        var count = (int)Math.Ceiling(Math.Log(LargestMs / SmallestMs) / Math.Log(Gamma)) + 1;
        var edges = new double[count];
        for (var i = 0; i < count; i++)
        {
            edges[i] = SmallestMs * Math.Pow(Gamma, i);
        }

        return edges;
    }
}
