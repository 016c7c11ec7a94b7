using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>What has been learned of idle times, as it is stored.</summary>
public sealed record IdleTimesState
{
    /// <summary>Faded number of idle times by length: in steps of half an octave from five seconds up.</summary>
    [JsonPropertyName("counts")] public IReadOnlyList<double> Counts { get; init; } = [];
}

/// <summary>
/// How long an instance that nobody needs is kept: the ski-rental problem. Keeping it costs its price by the second (the rent), releasing it
/// costs a start when it is needed again (the skis). Whoever knows nothing keeps it until the rent paid equals the price of a start: then no
/// fate can cost more than twice the least that was possible (Karlin, Manasse, Rudolph, Sleator, Competitive snoopy caching, 1988). Where enough idle times have been
/// seen, the time is the one that would have cost least on those (Karlin, Manasse, McGeoch, Owicki, Competitive randomized algorithms
/// for nonuniform problems, 1990), up to twice the break-even, so that traffic which changes its ways costs at most three times the least
/// (as Purohit, Svitkina, Kumar, Improving online algorithms via ML predictions, 2018, bound a prediction that is wrong). It is never shorter: a release
/// lets no other change begin while it is made, which is not in the price. Not thread-safe.
/// </summary>
public sealed class ScaleIn
{
    /// <summary>Idle times that must have been seen before they count.</summary>
    public const double Evidence = 20;

    /// <summary>A longer idle time counts as this long, in milliseconds.</summary>
    public const long LongestMs = 86_400_000;

    /// <summary>The learned time is at most the break-even times this.</summary>
    public const double Trust = 2;

    private const int Buckets = 30;
    private const double FirstMs = 5_000;
    private const double Memory = 400;

    private static readonly double[] Uppers = [.. Enumerable.Range(0, Buckets).Select(static bucket => FirstMs * Math.Pow(2, bucket / 2.0))];

    // The middle of a bucket stands for it.
    private static readonly double[] Middles = [.. Uppers.Select(static upper => Math.Min(LongestMs, upper / Math.Pow(2, 0.25)))];

    private readonly double[] _counts = new double[Buckets];
    private (long BreakEvenMs, long KeepMs) _known;

    /// <summary>Begins with nothing learned, or with what was stored.</summary>
    public ScaleIn(IdleTimesState? state = null)
    {
        if (state is { Counts.Count: Buckets } && state.Counts.All(static count => count >= 0 && double.IsFinite(count)))
        {
            state.Counts.ToArray().CopyTo(_counts, 0);
        }
    }

    /// <summary>What has been learned, as it is to be stored.</summary>
    public IdleTimesState ToState() => new() { Counts = [.. _counts.Select(static count => Math.Round(count, 2))] };

    /// <summary>An instance that was idle is needed again, or has been given up.</summary>
    /// <param name="idleMs">How long it was idle, in milliseconds.</param>
    public void Learn(long idleMs)
    {
        _known = default;
        _counts[Bucket(idleMs)]++;
        if (_counts.Sum() > Memory)
        {
            for (var i = 0; i < Buckets; i++)
            {
                _counts[i] *= 0.5;
            }
        }
    }

    /// <summary>How long to keep an idle instance, in milliseconds.</summary>
    /// <param name="breakEvenMs">The time for which keeping it costs as much as a start, in milliseconds, greater than 0.</param>
    public long KeepMs(long breakEvenMs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(breakEvenMs);
        if (_known.BreakEvenMs != breakEvenMs)
        {
            _known = (breakEvenMs, _counts.Sum() < Evidence ? breakEvenMs : Cheapest(breakEvenMs));
        }

        return _known.KeepMs;
    }

    private long Cheapest(long breakEvenMs)
    {
        var (best, least) = (breakEvenMs, Cost(breakEvenMs, breakEvenMs));
        for (var i = 0; i < Buckets; i++)
        {
            var keep = (long)Math.Clamp(Uppers[i], breakEvenMs, breakEvenMs * Trust);
            var cost = Cost(keep, breakEvenMs);
            if (cost < least * (1 - 1e-9))
            {
                (best, least) = (keep, cost);
            }
        }

        return best;
    }

    /// <summary>What the idle times seen would have cost in milliseconds of an instance, had each been kept that long.</summary>
    internal double Cost(double keepMs, double breakEvenMs)
    {
        var sum = 0.0;
        for (var i = 0; i < Buckets; i++)
        {
            sum += _counts[i] * (Middles[i] <= keepMs ? Middles[i] : keepMs + breakEvenMs);
        }

        return sum;
    }

    private static int Bucket(long idleMs) => (int)Math.Clamp(Math.Ceiling(2 * Math.Log2(Math.Max(1, idleMs) / FirstMs)), 0, Buckets - 1);
}
