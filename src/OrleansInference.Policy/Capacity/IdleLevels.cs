using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>Instances that have not been needed for equally long: the <see cref="From"/>th to the <see cref="To"/>th.</summary>
public sealed record IdleLevel
{
    /// <summary>The first of them, counted from 1.</summary>
    [JsonPropertyName("from")] public int From { get; init; }

    /// <summary>The last of them.</summary>
    [JsonPropertyName("to")] public int To { get; init; }

    /// <summary>Unix ms since when.</summary>
    [JsonPropertyName("since")] public long Since { get; init; }
}

/// <summary>
/// Since when each instance has not been needed. The first instances are used first, so the nth is needed exactly while n or more are, and one has
/// been idle at least as long as those before it: a stack. Not thread-safe.
/// </summary>
public sealed class IdleLevels
{
    /// <summary>Most entries; beyond it the instances idle longest count as idle since the later of their moments.</summary>
    public const int MaxEntries = 64;

    // From the lowest instance, idle the shortest, up.
    private readonly List<IdleLevel> _idle;

    /// <summary>Begins with nothing idle, or with what was stored.</summary>
    public IdleLevels(IReadOnlyList<IdleLevel>? state = null) => _idle = [.. state ?? []];

    /// <summary>The levels as they are to be stored.</summary>
    public IReadOnlyList<IdleLevel> ToState() => [.. _idle];

    /// <summary>Takes how many instances are needed now, and tells each idle time that ended by an instance being needed again.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="needed">Instances needed.</param>
    /// <param name="most">Instances to keep count of: those beyond are of no interest unless they are counted already.</param>
    /// <param name="ended">Told the length of each idle time that ended, in milliseconds.</param>
    public void Observe(long now, int needed, int most, Action<long> ended)
    {
        ArgumentNullException.ThrowIfNull(ended);
        while (_idle.Count > 0 && _idle[0].From <= needed)
        {
            var lowest = _idle[0];
            ended(Math.Max(0, now - lowest.Since));
            if (lowest.To > needed)
            {
                _idle[0] = lowest with { From = needed + 1 };
                break;
            }

            _idle.RemoveAt(0);
        }

        var known = _idle.Count > 0 ? _idle[0].From - 1 : Math.Max(needed, most);
        if (known > needed)
        {
            _idle.Insert(0, new() { From = needed + 1, To = known, Since = now });
        }

        var top = _idle.Count > 0 ? _idle[^1].To : needed;
        if (most > top)
        {
            // Instances that came from elsewhere: they are no better than those below, which the next request would use first.
            _idle.Add(new() { From = top + 1, To = most, Since = _idle.Count > 0 ? _idle[^1].Since : now });
        }

        while (_idle.Count > MaxEntries)
        {
            var (upper, lower) = (_idle[^1], _idle[^2]);
            _idle[^2] = lower with { To = upper.To };
            _idle.RemoveAt(_idle.Count - 1);
        }
    }

    /// <summary>Forgets instances above <paramref name="most"/> that have been idle longer than <paramref name="forMs"/>.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="most">Instances that there are to be.</param>
    /// <param name="forMs">The time in milliseconds.</param>
    /// <param name="ended">Told how long each was idle.</param>
    public void Forget(long now, int most, long forMs, Action<long> ended)
    {
        ArgumentNullException.ThrowIfNull(ended);
        while (_idle.Count > 0 && _idle[^1] is var highest && highest.To > most && now - highest.Since > forMs)
        {
            ended(now - highest.Since);
            if (highest.From <= most)
            {
                _idle[^1] = highest with { To = most };
                break;
            }

            _idle.RemoveAt(_idle.Count - 1);
        }
    }

    /// <summary>Counts every idle time from now at the earliest: what was in use in another way than was known.</summary>
    /// <param name="now">Unix ms.</param>
    public void Restart(long now)
    {
        for (var i = 0; i < _idle.Count; i++)
        {
            _idle[i] = _idle[i] with { Since = now };
        }
    }

    /// <summary>How many of <paramref name="instances"/> have been needed within the last <paramref name="forMs"/> milliseconds: they and those before them are worth keeping.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="instances">Instances there are.</param>
    /// <param name="forMs">The time in milliseconds.</param>
    public int Kept(long now, int instances, long forMs)
    {
        foreach (var level in _idle)
        {
            if (now - level.Since >= forMs)
            {
                return Math.Min(instances, level.From - 1);
            }
        }

        return instances;
    }
}
