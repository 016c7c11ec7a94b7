using Orleans.Runtime.Messaging;
using OrleansInference.Hosting;

namespace OrleansInference.Dispatch;

/// <summary>
/// Calls of grains that could not be delivered because the grain's silo has just died, or leaves: the grain comes up elsewhere once that silo is
/// declared dead. Until then whoever waits for it anyway asks again, for <see cref="Longest"/> and not past a deadline. Only for calls that may be
/// made twice, since the first may have arrived. Costs nothing as long as nothing fails.
/// </summary>
internal struct LostCalls(RouterClock clock, long deadline)
{
    /// <summary>How long it is asked again, on the wall: longer than it takes until a silo is declared dead.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);
    private long _began;
    private TimeSpan _pause;

    /// <summary>Whether a call was lost, and did nothing or may be made again.</summary>
    public static bool IsOne(Exception exception) => exception is SiloUnavailableException or ConnectionFailedException or OrleansMessageRejectionException;

    /// <summary>Whether to call again, after <see cref="PauseAsync"/>.</summary>
    public bool MayRepeat(Exception exception)
    {
        if (!IsOne(exception))
        {
            return false;
        }

        if (_pause == TimeSpan.Zero)
        {
            (_began, _pause) = (clock.TimeProvider.GetTimestamp(), FirstPause);
        }
        else if (_pause < LongestPause)
        {
            _pause *= 2;
        }

        return clock.TimeProvider.GetElapsedTime(_began) + _pause < Longest && clock.Now + (long)clock.FromWall(_pause).TotalMilliseconds < deadline;
    }

    /// <summary>Waits before the next call.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public readonly Task PauseAsync(CancellationToken cancellationToken) => Task.Delay(_pause, clock.TimeProvider, cancellationToken);
}
