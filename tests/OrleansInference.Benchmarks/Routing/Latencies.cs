using System.Diagnostics;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>Times every single operation, for the percentiles that a mean hides. The clock's own reading is in each of them.</summary>
internal static class Latencies
{
    /// <summary>The quantile, in nanoseconds, of <paramref name="count"/> operations after a warm-up.</summary>
    public static double Quantile(int count, double quantile, Action<int> operation)
    {
        for (var i = 0; i < count; i++)
        {
            operation(i);
        }

        Thread.Sleep(200);
        var ticks = new long[count];
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            operation(i);
            ticks[i] = Stopwatch.GetTimestamp() - start;
        }

        Array.Sort(ticks);
        return ticks[(int)Math.Min(count - 1, Math.Ceiling(quantile * count) - 1)] * (1e9 / Stopwatch.Frequency);
    }
}
