using System.Globalization;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Tunes a fleet as its user would: tries settings on the first days and takes the cheapest that meets every class's target; if none does, the one whose worst
/// class is short by the least, and of those within a tenth of a percentage point the cheapest. More instances at least allow a higher level, and a higher level
/// is cheaper and misses more; so that a few trials find the best of all pairs.
/// </summary>
/// <param name="ground">The first days.</param>
/// <param name="make">Makes a fleet of a setting.</param>
/// <param name="levels">Levels to choose from, rising.</param>
/// <param name="fine">Steps between two levels that are tried in the end.</param>
internal sealed class Tuner(TuningGround ground, Func<Setting, ModelFleet> make, double[] levels, int fine = 2)
{
    private const double Near = 0.001;
    private Setting? _best;
    private long _cost = long.MaxValue;
    private int _bestLevel = -1;

    /// <summary>The best setting for some numbers of instances at least.</summary>
    /// <param name="leasts">Numbers to choose from, rising.</param>
    public Tuned Choose(int[] leasts)
    {
        foreach (var least in leasts)
        {
            if (ground.CostOf(least) >= _cost)
            {
                break;
            }

            Search(least);
        }

        if (_best is not { } best)
        {
            return Nearest(leasts);
        }

        return Refine(best);
    }

    /// <summary>The numbers of instances at least that are worth trying for a load.</summary>
    /// <param name="fewest">The fewest.</param>
    /// <param name="most">The most.</param>
    /// <param name="load">The load.</param>
    /// <param name="concurrency">Slots of an instance.</param>
    public static int[] Leasts(int fewest, int most, LoadProfile load, int concurrency)
    {
        var leasts = new SortedSet<int> { fewest };
        foreach (var share in (ReadOnlySpan<double>)[0.5, 0.75, 0.9, 0.95, 0.98, 1])
        {
            leasts.Add((int)Math.Clamp(Math.Ceiling(load.Slots(share) / concurrency), fewest, most));
        }

        return [.. leasts];
    }

    /// <summary>Looks for the highest level above the best one so far that meets the targets: at the same or a lower level more instances only cost more.</summary>
    private void Search(int least)
    {
        var step = 1;
        var (known, failed) = (_bestLevel, levels.Length);
        while (known + 1 < failed)
        {
            var level = Math.Min(known + step, failed - 1);
            if (level <= known)
            {
                break;
            }

            if (Meets(new(levels[level], least)))
            {
                known = _bestLevel = level;
                step *= 2;
            }
            else
            {
                failed = level;
                step = Math.Max(1, (failed - known) / 2);
            }
        }
    }

    private bool Meets(Setting setting)
    {
        var trial = ground.Try(make(setting));
        if (!trial.IsWhole || trial.Shortfall > 0)
        {
            return false;
        }

        if (trial.CostNanos < _cost)
        {
            (_best, _cost) = (setting, trial.CostNanos);
        }

        return true;
    }

    private Tuned Refine(Setting best)
    {
        if (_bestLevel + 1 < levels.Length)
        {
            var (low, high) = (levels[_bestLevel], levels[_bestLevel + 1]);
            for (var i = 1; i < fine && Meets(best with { Level = low + ((high - low) * i / fine) }); i++)
            {
            }
        }

        return new(_best!.Value, 0);
    }

    private Tuned Nearest(int[] leasts)
    {
        var tried = new List<(Setting Setting, Trial Trial)>();
        foreach (var least in (int[])[leasts[0], leasts[leasts.Length / 2], leasts[^1]])
        {
            for (var level = 0; level < levels.Length; level += 3)
            {
                var setting = new Setting(levels[level], least);
                tried.Add((setting, ground.Try(make(setting), mustAttain: false)));
            }
        }

        var shortest = tried.Min(static each => each.Trial.Shortfall);
        var (chosen, trial) = tried.Where(each => each.Trial.Shortfall <= shortest + Near).MinBy(static each => each.Trial.CostNanos);
        return new(chosen, trial.Shortfall);
    }
}

/// <summary>A setting that is tried.</summary>
/// <param name="Level">Utilisation, or another measure of how tight capacity is kept.</param>
/// <param name="Least">Fewest instances.</param>
internal readonly record struct Setting(double Level, int Least);

/// <summary>A setting that was chosen.</summary>
/// <param name="Setting">The setting.</param>
/// <param name="Shortfall">What the worst class is short of its target, 0..1; 0 if none is.</param>
internal readonly record struct Tuned(Setting Setting, double Shortfall)
{
    /// <summary>What is to be said of a shortfall.</summary>
    public string Caveat => Shortfall > 0 ? string.Create(CultureInfo.InvariantCulture, $" (the least short of the target, by {100 * Shortfall:0.##} points)") : "";
}
