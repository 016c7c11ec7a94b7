using System.Runtime.InteropServices;

namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// What a slot-second of capacity that is billed anyway is worth, bin by bin: nothing where some of it idles whatever is done, its full price where work that could be
/// done nowhere cheaper is left over. Work has a bin from which on and a bin until which it may be done, an amount in slot-microseconds and a worth: what each of them
/// would cost elsewhere. It may be split at will.
/// </summary>
/// <remarks>
/// These are the dual prices of doing as much of the worthiest work as can be done. The amounts that can be done together are a polymatroid (flows into bins), so to take
/// work by falling worth is best (Edmonds, Submodular functions, matroids, and certain polyhedra, 1970): all that has to be known is which bins are full when the work of
/// one worth and above is done as far as it can be. That is found by doing in each bin what has to be done first, which is best as each piece of work may be done in
/// consecutive bins (Glover, Maximum matching in a convex bipartite graph, 1967). The bound holds for any prices; the best make it tight.
/// </remarks>
internal sealed class IdlePrices
{
    private const double Step = 1.01;
    private const int Levels = 512;
    private static readonly double LogStep = Math.Log(Step);
    private readonly Dictionary<(int Level, int Until), double> _now = [];
    private readonly List<Work> _work = [];
    private readonly bool[] _isUsed = new bool[Levels];
    private int _bin;
    private int _lastBin;

    /// <summary>Adds work; bins do not fall from call to call.</summary>
    /// <param name="bin">From which bin on it may be done.</param>
    /// <param name="until">The last bin in which it may be done.</param>
    /// <param name="amount">Slot-microseconds.</param>
    /// <param name="worth">Share, 0..1, of the price of this capacity that each costs elsewhere.</param>
    public void Add(int bin, int until, double amount, double worth)
    {
        if (bin != _bin)
        {
            Flush();
            _bin = bin;
        }

        CollectionsMarshal.GetValueRefOrAddDefault(_now, (LevelOf(worth), until), out _) += amount;
    }

    /// <summary>The prices by bin, as shares, 0..1, of what the capacity costs.</summary>
    /// <param name="capacity">Slot-microseconds by bin; none after.</param>
    public double[] Of(IReadOnlyList<double> capacity)
    {
        Flush();
        var prices = new double[capacity.Count];
        var levels = Enumerable.Range(0, Levels).Where(level => _isUsed[level]).ToArray();
        for (var i = 0; i < levels.Length; i++)
        {
            var worth = WorthOf(levels[i]) - (i + 1 < levels.Length ? WorthOf(levels[i + 1]) : 0);
            var isFull = Fill(capacity, levels[i]);
            for (var bin = 0; bin < prices.Length; bin++)
            {
                prices[bin] += isFull[bin] ? worth : 0;
            }
        }

        return prices;
    }

    /// <summary>A level's worth.</summary>
    internal static double WorthOf(int level) => Math.Pow(Step, -level);

    /// <summary>Does the work of a level and those above; tells in which bins more room would have let more be done.</summary>
    private bool[] Fill(IReadOnlyList<double> capacity, int level)
    {
        var left = new double[Math.Max(_lastBin, capacity.Count) + 1];
        var waiting = new PriorityQueue<int, int>();
        var latest = new int[capacity.Count];
        var next = 0;
        for (var bin = 0; bin < capacity.Count; bin++)
        {
            for (; next < _work.Count && _work[next].Bin == bin; next++)
            {
                Wait(_work[next], level, left, waiting);
            }

            // Work that is late is given up; work that is left when room is left is none.
            var free = capacity[bin];
            latest[bin] = int.MaxValue;
            while (waiting.TryPeek(out var until, out _))
            {
                var isLate = until < bin;
                if (!isLate)
                {
                    var doing = Math.Min(free, left[until]);
                    free -= doing;
                    left[until] -= doing;
                    latest[bin] = until;
                    if (left[until] > 0)
                    {
                        break;
                    }
                }

                left[until] = 0;
                waiting.Dequeue();
            }

            if (free > 0)
            {
                latest[bin] = int.MaxValue;
            }
        }

        return Full(latest);
    }

    private static void Wait(in Work work, int level, double[] left, PriorityQueue<int, int> waiting)
    {
        if (work.Level <= level && work.Amount > 0)
        {
            if (left[work.Until] == 0)
            {
                waiting.Enqueue(work.Until, work.Until);
            }

            left[work.Until] += work.Amount;
        }
    }

    /// <summary>A bin is not full if room is left in it, or if work done in it could wait for a later bin that is not full.</summary>
    private static bool[] Full(int[] latest)
    {
        var isFull = new bool[latest.Length];
        var room = int.MaxValue;
        for (var bin = latest.Length - 1; bin >= 0; bin--)
        {
            isFull[bin] = latest[bin] < room;
            room = isFull[bin] ? room : bin;
        }

        return isFull;
    }

    private void Flush()
    {
        foreach (var ((level, until), amount) in _now)
        {
            _work.Add(new(_bin, until, level, amount));
            _isUsed[level] = true;
            _lastBin = Math.Max(_lastBin, until);
        }

        _now.Clear();
    }

    // Worth is rounded up to a level's.
    private static int LevelOf(double worth) => worth >= 1 - 1e-12 ? 0 : worth <= 0 ? Levels - 1 : Math.Min(Levels - 1, (int)((-Math.Log(worth) / LogStep) + 1e-9));

    private readonly record struct Work(int Bin, int Until, int Level, double Amount);
}
