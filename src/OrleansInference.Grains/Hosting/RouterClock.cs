namespace OrleansInference.Hosting;

/// <summary>
/// The clock of everything that is about requests: arrivals, deadlines, leases, windows, bills. It runs
/// <see cref="Speed"/> times as fast as <see cref="TimeProvider"/>, so that an embedded deployment can live through an
/// hour in minutes. Cluster membership, sockets and request signatures stay on the wall clock.
/// </summary>
public sealed class RouterClock
{
    private readonly long _start;
    private readonly long _origin;

    /// <summary>A clock that starts now.</summary>
    /// <param name="timeProvider">The underlying clock.</param>
    /// <param name="speed">How many times faster than it; 1..1000.</param>
    public RouterClock(TimeProvider timeProvider, double speed = 1)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        if (!(speed is >= 1 and <= 1000))
        {
            throw new ArgumentOutOfRangeException(nameof(speed), speed, "A clock runs 1 to 1000 times as fast as life.");
        }

        TimeProvider = timeProvider;
        Speed = speed;
        _start = timeProvider.GetTimestamp();
        _origin = timeProvider.GetUtcNow().ToUnixTimeMilliseconds();
    }

    /// <summary>The underlying clock, on the wall's time.</summary>
    public TimeProvider TimeProvider { get; }

    /// <summary>How many times faster than <see cref="TimeProvider"/>.</summary>
    public double Speed { get; }

    /// <summary>Unix milliseconds on this clock. At speed 1 that is the wall clock, with its corrections.</summary>
    public long Now => Speed == 1
        ? TimeProvider.GetUtcNow().ToUnixTimeMilliseconds()
        : _origin + (long)(TimeProvider.GetElapsedTime(_start).TotalMilliseconds * Speed);

    /// <summary>How long a span of this clock lasts on the wall: what a timer or a delay is to be given. At most 24 days, as timers take no more.</summary>
    public TimeSpan ToWall(TimeSpan span)
    {
        var wall = Speed == 1 ? span : span / Speed;
        return wall > MaxDelay ? MaxDelay : wall;
    }

    /// <summary>How long a span on the wall lasts on this clock.</summary>
    public TimeSpan FromWall(TimeSpan wall) => Speed == 1 ? wall : wall * Speed;

    private static readonly TimeSpan MaxDelay = TimeSpan.FromDays(24);
}
