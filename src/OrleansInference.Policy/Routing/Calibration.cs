using System.Collections.Immutable;

namespace OrleansInference.Routing;

/// <summary>
/// Measures the quotes themselves: of the requests quoted a certain probability of being in time, how many were? Safe for
/// concurrent use; a fixed number of bins, finer towards 1 where targets lie.
/// </summary>
public sealed class Calibration
{
    private static readonly double[] Edges = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];
    private readonly long[] _quoted = new long[Edges.Length];
    private readonly long[] _inTime = new long[Edges.Length];

    /// <summary>Counts one request that was quoted <paramref name="predicted"/> and did or did not answer in time.</summary>
    public void Record(double predicted, bool inTime)
    {
        var bin = Edges.Length - 1;
        while (bin > 0 && !(predicted >= Edges[bin]))
        {
            bin--;
        }

        Interlocked.Increment(ref _quoted[bin]);
        if (inTime)
        {
            Interlocked.Increment(ref _inTime[bin]);
        }
    }

    /// <summary>Every bin, from the least likely up.</summary>
    public ImmutableArray<CalibrationBin> Bins() =>
    [
        .. Enumerable.Range(0, Edges.Length).Select(i => new CalibrationBin(
            Edges[i],
            i + 1 < Edges.Length ? Edges[i + 1] : 1,
            Interlocked.Read(ref _quoted[i]),
            Interlocked.Read(ref _inTime[i]))),
    ];

    /// <summary>Of the requests quoted at least <paramref name="probability"/> (a bin's lower edge), the share that was in time; null if there was none.</summary>
    public double? ShareInTime(double probability)
    {
        long quoted = 0, inTime = 0;
        foreach (var bin in Bins())
        {
            if (bin.From >= probability)
            {
                quoted += bin.Quoted;
                inTime += bin.InTime;
            }
        }

        return quoted == 0 ? null : (double)inTime / quoted;
    }
}

/// <summary>Requests quoted a probability in [<paramref name="From"/>, <paramref name="To"/>), the last bin including 1.</summary>
/// <param name="From">Lower edge.</param>
/// <param name="To">Upper edge.</param>
/// <param name="Quoted">Requests.</param>
/// <param name="InTime">Of them in time.</param>
public sealed record CalibrationBin(double From, double To, long Quoted, long InTime);
