namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// The most money that capacity which is billed anyway can save. Work has a bin from which on and a bin until which it may be done, an amount in slot-microseconds and
/// a worth per slot-microsecond: what it would cost elsewhere. It may be split at will.
/// </summary>
/// <remarks>
/// The amounts that can be done together are the independent vectors of a polymatroid (flows into bins), so to take the work by falling worth is best (Edmonds,
/// Submodular functions, matroids, and certain polyhedra, 1970), and the most that can be done of the worthiest is all that has to be known: the saving is
/// Σ (worth of a level − worth of the next) × most that can be done of this level and those above. How much can be done is found by doing in each bin what has to be
/// done first, which is best as each piece of work may be done in consecutive bins (Glover, Maximum matching in a convex bipartite graph, 1967).
/// </remarks>
internal sealed class Absorption
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
    /// <param name="worth">Share, 0..1, of the price of this capacity that each saves.</param>
    public void Add(int bin, int until, double amount, double worth)
    {
        if (bin != _bin)
        {
            Flush();
            _bin = bin;
        }

        System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_now, (LevelOf(worth), until), out _) += amount;
    }

    /// <summary>The saving at most, in slot-microseconds of full worth.</summary>
    /// <param name="capacity">Slot-microseconds by bin; none after.</param>
    public double Saving(IReadOnlyList<double> capacity)
    {
        Flush();
        var saving = 0.0;
        var levels = Enumerable.Range(0, Levels).Where(level => _isUsed[level]).ToArray();
        for (var i = 0; i < levels.Length; i++)
        {
            var worth = WorthOf(levels[i]) - (i + 1 < levels.Length ? WorthOf(levels[i + 1]) : 0);
            saving += worth * MostDone(capacity, levels[i]);
        }

        return saving;
    }

    private double MostDone(IReadOnlyList<double> capacity, int level)
    {
        var left = new double[Math.Max(_lastBin, capacity.Count) + 1];
        var waiting = new PriorityQueue<int, int>();
        var (done, next) = (0.0, 0);
        for (var bin = 0; bin < capacity.Count; bin++)
        {
            for (; next < _work.Count && _work[next].Bin == bin; next++)
            {
                var work = _work[next];
                if (work.Level > level)
                {
                    continue;
                }

                if (left[work.Until] == 0)
                {
                    waiting.Enqueue(work.Until, work.Until);
                }

                left[work.Until] += work.Amount;
            }

            var free = capacity[bin];
            while (free > 0 && waiting.TryPeek(out var until, out _))
            {
                var doing = until < bin ? 0 : Math.Min(free, left[until]);
                done += doing;
                free -= doing;
                left[until] -= doing;
                if (until < bin || left[until] <= 0)
                {
                    left[until] = 0;
                    waiting.Dequeue();
                }
            }
        }

        return done;
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
    private static int LevelOf(double worth) => worth >= 1 - 1e-12 ? 0 : worth <= 0 ? Levels - 1 : Math.Min(Levels - 1, (int)(-Math.Log(worth) / LogStep));

    private static double WorthOf(int level) => Math.Pow(Step, -level);

    private readonly record struct Work(int Bin, int Until, int Level, double Amount);
}
