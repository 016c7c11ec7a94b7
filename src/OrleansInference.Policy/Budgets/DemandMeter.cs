namespace OrleansInference.Budgets;

/// <summary>Demand on a lease, from cumulative counts of what was asked for: a rate that follows within seconds and a mean size.</summary>
internal sealed class DemandMeter
{
    private const double FollowMs = 2_000;
    private const double HorizonSeconds = 3;

    private long _units;
    private long _times;
    private long _at = long.MinValue;

    /// <summary>Units asked for per second.</summary>
    public double PerSecond { get; private set; }

    /// <summary>Units of a typical request.</summary>
    public long Mean { get; private set; }

    /// <summary>Units for the next seconds; 0 when idle.</summary>
    public long Wanted { get; private set; }

    public void Observe(long units, long times, long now)
    {
        var (newUnits, newTimes) = (Math.Max(0, units - _units), Math.Max(0, times - _times));
        var elapsed = _at == long.MinValue ? FollowMs : now - _at;
        if (elapsed <= 0)
        {
            // Counted with the next report: a rate needs time to pass.
            return;
        }

        (_units, _times, _at) = (units, times, now);
        if (newTimes > 0)
        {
            Mean = newUnits / newTimes;
        }

        var follow = 1 - Math.Exp(-elapsed / FollowMs);
        PerSecond += follow * (newUnits * 1000.0 / elapsed - PerSecond);
        var ahead = PerSecond * HorizonSeconds;

        // A tail of an old rate that would not carry a tenth of a request is idleness.
        Wanted = ahead < Mean / 10.0 || ahead < 1 ? 0 : (long)Math.Min(Math.Max(ahead, Mean), LeaseCells<Unwatched>.MaxUnits);
    }
}
