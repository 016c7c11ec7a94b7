using OrleansInference.Latency;

namespace OrleansInference.Simulator.Measures;

/// <summary>Times from arrival to answer, told apart to one percent.</summary>
public sealed class LatencyHistogram
{
    private readonly long[] _counts = new long[LatencyBuckets.Count];

    /// <summary>Times counted.</summary>
    public long Count { get; private set; }

    /// <summary>Counts a time.</summary>
    /// <param name="milliseconds">The time in milliseconds.</param>
    public void Add(double milliseconds)
    {
        _counts[LatencyBuckets.IndexOf(milliseconds)]++;
        Count++;
    }

    /// <summary>The time in seconds that a share of the answers took at most; 0 if there are none.</summary>
    /// <param name="share">0..1.</param>
    public double QuantileSeconds(double share)
    {
        var rank = (long)Math.Ceiling(share * Count);
        long sum = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            sum += _counts[i];
            if (sum >= rank && sum > 0)
            {
                return LatencyBuckets.Middle(i) / 1000;
            }
        }

        return 0;
    }

    /// <summary>Points of the distribution: seconds, and the share of the answers that took at most so long.</summary>
    public IReadOnlyList<(double Seconds, double Share)> Points(int most)
    {
        var points = new List<(double, double)>();
        for (var i = 0; i <= most && Count > 0; i++)
        {
            var share = (double)i / most;
            points.Add((QuantileSeconds(share), share));
        }

        return points;
    }
}
