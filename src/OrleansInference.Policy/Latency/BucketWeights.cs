using System.Runtime.InteropServices;

namespace OrleansInference.Latency;

/// <summary>Weights by bucket of <see cref="LatencyBuckets"/>, as sketches and what is believed of them are worked out in.</summary>
internal static class BucketWeights
{
    /// <summary>Adds other weights times a factor.</summary>
    public static void AddScaled(Span<double> weights, ReadOnlySpan<double> others, double factor)
    {
        var (first, end) = Used(others);
        for (var i = first; i < end; i++)
        {
            weights[i] += others[i] * factor;
        }
    }

    /// <summary>The sum of weights.</summary>
    public static double Sum(ReadOnlySpan<double> weights)
    {
        var (first, end) = Used(weights);
        double total = 0;
        for (var i = first; i < end; i++)
        {
            total += weights[i];
        }

        return total;
    }

    /// <summary>The range outside of which there is nothing: what takes about as long each time is in a few of the buckets.</summary>
    public static (int First, int End) Used(ReadOnlySpan<double> weights)
    {
        // As bits they are compared many at a time.
        var bits = MemoryMarshal.Cast<double, long>(weights);
        return (Math.Max(0, bits.IndexOfAnyExcept(0)), bits.LastIndexOfAnyExcept(0) + 1);
    }
}
