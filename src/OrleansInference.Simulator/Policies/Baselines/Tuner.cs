namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Tunes a fleet as its user would: tries settings on the first days and takes the cheapest that meets every class's target. Requests that are missed even by the most
/// generous of them, the lowest level over a floor that bears the median load, are left out: bursts that no scaling of that kind can follow would else be met by the most instances
/// there may be at all times, which nobody would pay for. More instances at least allow a higher level, and a higher level is cheaper
/// and misses more; so that a few trials find the best of all pairs.
/// </summary>
/// <param name="ground">The first days.</param>
/// <param name="make">Makes a fleet of a setting.</param>
/// <param name="levels">Levels to choose from, rising.</param>
/// <param name="fine">Steps between two levels that are tried in the end.</param>
internal sealed class Tuner(TuningGround ground, Func<Setting, ModelFleet> make, double[] levels, int fine = 2)
{
    private const double Near = 0.001;
    private Setting _best;
    private long _cost;
    private int _bestLevel = -1;

    /// <summary>The best setting.</summary>
    /// <param name="leasts">Numbers of instances at least to choose from, rising.</param>
    public Setting Choose(int[] leasts)
    {
        _best = new(levels[0], leasts[^1]);
        _cost = ground.Learn(make(_best));
        foreach (var least in leasts)
        {
            if (ground.CostOf(least) >= _cost)
            {
                break;
            }

            Search(least);
        }

        Refine(_best);
        return _best;
    }

    /// <summary>The numbers of instances at least that are worth trying for a load.</summary>
    /// <param name="fewest">The fewest.</param>
    /// <param name="most">The most.</param>
    /// <param name="load">The load.</param>
    /// <param name="concurrency">Slots of an instance.</param>
    public static int[] Leasts(int fewest, int most, LoadProfile load, int concurrency)
    {
        return [.. new SortedSet<int> { fewest, (int)Math.Clamp(Math.Ceiling(load.Slots(0.5) / concurrency), fewest, most) }];
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

            var outcome = Try(new(levels[level], least));
            if (outcome == TrialOutcome.Missed)
            {
                failed = level;
                step = Math.Max(1, (failed - known) / 2);
                continue;
            }

            // What is too dear is dearer still at a lower level.
            known = level;
            step *= 2;
            if (outcome == TrialOutcome.Met)
            {
                _bestLevel = level;
            }
        }
    }

    private TrialOutcome Try(Setting setting)
    {
        var outcome = ground.Try(make(setting), _cost, out var cost);
        if (outcome == TrialOutcome.Met)
        {
            (_best, _cost) = (setting, cost);
        }

        return outcome;
    }

    private void Refine(Setting best)
    {
        if (_bestLevel >= 0 && _bestLevel + 1 < levels.Length)
        {
            var (low, high) = (levels[_bestLevel], levels[_bestLevel + 1]);
            for (var i = 1; i < fine && Try(best with { Level = low + ((high - low) * i / fine) }) == TrialOutcome.Met; i++)
            {
            }
        }
    }
}

/// <summary>A setting that is tried.</summary>
/// <param name="Level">Utilisation, or another measure of how tight capacity is kept.</param>
/// <param name="Least">Fewest instances.</param>
internal readonly record struct Setting(double Level, int Least);
