using System.Collections.Immutable;

namespace OrleansInference.Routing;

/// <summary>
/// Measures the quotes themselves, by lane and class: of the requests quoted a certain probability of being in time, how many were? Safe
/// for concurrent use; a fixed number of bins, finer towards 1 where targets lie.
/// </summary>
public sealed class Calibration
{
    private static readonly double[] Edges = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999];
    private static readonly int Lanes = Enum.GetValues<Lane>().Length;
    private static readonly int Classes = Enum.GetValues<TrafficClass>().Length;
    private readonly long[] _quoted = new long[Lanes * Classes * Edges.Length];
    private readonly long[] _inTime = new long[Lanes * Classes * Edges.Length];

    /// <summary>The lower edge of the bin that a probability falls in.</summary>
    public static double FloorOf(double predicted) => Edges[BinOf(predicted)];

    /// <summary>Counts one request that was quoted <paramref name="predicted"/> and did or did not answer in time.</summary>
    public void Record(Lane lane, TrafficClass trafficClass, double predicted, bool inTime)
    {
        var cell = Cell(lane, trafficClass, BinOf(predicted));
        Interlocked.Increment(ref _quoted[cell]);
        if (inTime)
        {
            Interlocked.Increment(ref _inTime[cell]);
        }
    }

    /// <summary>Every bin, from the least likely up, over the lanes and classes that are asked for: null means all.</summary>
    public ImmutableArray<CalibrationBin> Bins(Lane? lane = null, TrafficClass? trafficClass = null)
    {
        var bins = ImmutableArray.CreateBuilder<CalibrationBin>(Edges.Length);
        for (var bin = 0; bin < Edges.Length; bin++)
        {
            long quoted = 0, inTime = 0;
            foreach (var l in Enum.GetValues<Lane>().Where(l => lane is null || l == lane))
            {
                foreach (var c in Enum.GetValues<TrafficClass>().Where(c => trafficClass is null || c == trafficClass))
                {
                    quoted += Interlocked.Read(ref _quoted[Cell(l, c, bin)]);
                    inTime += Interlocked.Read(ref _inTime[Cell(l, c, bin)]);
                }
            }

            bins.Add(new(Edges[bin], bin + 1 < Edges.Length ? Edges[bin + 1] : 1, quoted, inTime));
        }

        return bins.MoveToImmutable();
    }

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

    private static int BinOf(double predicted)
    {
        var bin = Edges.Length - 1;
        while (bin > 0 && !(predicted >= Edges[bin]))
        {
            bin--;
        }

        return bin;
    }

    private static int Cell(Lane lane, TrafficClass trafficClass, int bin) => (((((int)lane * Classes) + (int)trafficClass) * Edges.Length)) + bin;
}

/// <summary>Requests quoted a probability in [<paramref name="From"/>, <paramref name="To"/>), the last bin including 1.</summary>
/// <param name="From">Lower edge.</param>
/// <param name="To">Upper edge.</param>
/// <param name="Quoted">Requests.</param>
/// <param name="InTime">Of them in time.</param>
public sealed record CalibrationBin(double From, double To, long Quoted, long InTime);
