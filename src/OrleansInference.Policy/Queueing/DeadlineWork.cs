namespace OrleansInference.Queueing;

/// <summary>How much work is due when, to the minute, over three days; what is due later counts as due then. Not thread-safe.</summary>
internal sealed class DeadlineWork
{
    /// <summary>Deadlines are told apart to this, in milliseconds.</summary>
    public const long GrainMs = 60_000;

    private const int Grains = 3 * 24 * 60;

    // What is overdue by up to an hour still has a place of its own.
    private const int OverdueGrains = 60;

    private readonly long[] _work = new long[Grains];
    private long _lastGrain = -1;

    /// <summary>Slot-milliseconds in all.</summary>
    public long WorkMs { get; private set; }

    /// <summary>A deadline as it is counted here.</summary>
    /// <param name="deadline">Unix ms, not negative.</param>
    /// <param name="now">Unix ms.</param>
    public static long Counted(long deadline, long now)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(deadline);
        return Math.Clamp(deadline, Math.Max(0, now - GrainMs), now + ((Grains - OverdueGrains - 2) * GrainMs));
    }

    /// <summary>Work comes.</summary>
    /// <param name="deadline">As <see cref="Counted"/>.</param>
    /// <param name="serviceMs">Slot-milliseconds.</param>
    public void Add(long deadline, int serviceMs)
    {
        _lastGrain = WorkMs == 0 ? deadline / GrainMs : Math.Max(_lastGrain, deadline / GrainMs);
        _work[deadline / GrainMs % Grains] += serviceMs;
        WorkMs += serviceMs;
    }

    /// <summary>Work that came goes.</summary>
    public void Remove(long deadline, int serviceMs)
    {
        _work[deadline / GrainMs % Grains] -= serviceMs;
        WorkMs -= serviceMs;
    }

    /// <summary>Slots that have to serve nothing else from now on, on average, for everything to begin in time.</summary>
    /// <param name="earliest">The earliest deadline of all, as <see cref="Counted"/>.</param>
    /// <param name="now">Unix ms.</param>
    /// <param name="marginMs">How much sooner it is to be, in milliseconds.</param>
    public double SlotsNeeded(long earliest, long now, long marginMs)
    {
        var needed = 0.0;
        long due = 0;
        for (var grain = Math.Max(earliest / GrainMs, _lastGrain - Grains + 1); WorkMs > 0 && grain <= _lastGrain; grain++)
        {
            due += _work[grain % Grains];
            needed = Math.Max(needed, due / (double)Math.Max(GrainMs, (grain * GrainMs) - now - marginMs));
        }

        return needed;
    }
}
