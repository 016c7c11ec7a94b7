namespace OrleansInference.Hosting;

/// <summary>
/// The clock of everything that is about requests: arrivals, deadlines, leases, windows, bills. It runs
/// <see cref="Speed"/> times as fast as <see cref="TimeProvider"/>, so that an embedded deployment can live through an
/// hour in minutes. Cluster membership, sockets and request signatures stay on the wall clock. Silos of one cluster must agree
/// on the time: several silos run at speed 1, or share one clock in one process.
/// </summary>
public sealed class RouterClock
{
    private static readonly TimeSpan MaxDelay = TimeSpan.FromDays(24);
    private static readonly TimeSpan LeastDelay = TimeSpan.FromMilliseconds(1);
    private readonly long _start;
    private readonly long _origin;
    private readonly long _ahead;
    private long _ceiling = long.MaxValue;

    /// <summary>A clock that starts now, or later than now where it stood before.</summary>
    /// <param name="timeProvider">The underlying clock.</param>
    /// <param name="speed">How many times faster than it; 1..1000.</param>
    /// <param name="resumeAt">Unix ms of a moment that it starts at or after: what was stored earlier must not lie in its future. 0 starts at the wall's time.</param>
    public RouterClock(TimeProvider timeProvider, double speed = 1, long resumeAt = 0)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        if (!(speed is >= 1 and <= 1000))
        {
            throw new ArgumentOutOfRangeException(nameof(speed), speed, "A clock runs 1 to 1000 times as fast as life.");
        }

        TimeProvider = timeProvider;
        Speed = speed;
        _start = timeProvider.GetTimestamp();
        var wall = timeProvider.GetUtcNow().ToUnixTimeMilliseconds();
        _origin = Math.Max(wall, resumeAt);
        _ahead = _origin - wall;
    }

    /// <summary>The underlying clock, on the wall's time.</summary>
    public TimeProvider TimeProvider { get; }

    /// <summary>How many times faster than <see cref="TimeProvider"/>.</summary>
    public double Speed { get; }

    /// <summary>Whether it can stand later than the wall, so that a restart must not start it at the wall's time.</summary>
    public bool RunsAhead => Speed > 1 || _ahead > 0;

    /// <summary>Unix milliseconds on this clock. At speed 1 that is the wall clock, with its corrections, unless the clock was resumed later than it.</summary>
    public long Now => Math.Min(
        Volatile.Read(ref _ceiling),
        Speed == 1
            ? TimeProvider.GetUtcNow().ToUnixTimeMilliseconds() + _ahead
            : _origin + (long)(TimeProvider.GetElapsedTime(_start).TotalMilliseconds * Speed));

    /// <summary>How long a span of this clock lasts on the wall: what a timer or a delay is to be given. At most 24 days, as timers take no more.</summary>
    public TimeSpan ToWall(TimeSpan span)
    {
        var wall = Speed == 1 ? span : span / Speed;
        return wall > MaxDelay ? MaxDelay : wall;
    }

    /// <summary>How long a span on the wall lasts on this clock.</summary>
    public TimeSpan FromWall(TimeSpan wall) => Speed == 1 ? wall : wall * Speed;

    /// <summary>
    /// Waits for a span of this clock, and never less: timers go by a coarse clock, and a few milliseconds that one of them
    /// comes early are many on a fast clock.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task DelayAsync(TimeSpan span, CancellationToken cancellationToken)
    {
        var (began, wall) = (TimeProvider.GetTimestamp(), Speed == 1 ? span : span / Speed);
        while (wall - TimeProvider.GetElapsedTime(began) is var left && left > TimeSpan.Zero)
        {
            await Task.Delay(left < LeastDelay ? LeastDelay : left > MaxDelay ? MaxDelay : left, TimeProvider, cancellationToken);
        }
    }

    /// <summary>Sets the moment, in Unix ms, that the clock does not pass until a later one is set.</summary>
    internal void StandStillAt(long ceiling) => Volatile.Write(ref _ceiling, ceiling);
}
