using OrleansInference.Jobs;

namespace OrleansInference.Ingest;

/// <summary>
/// How fast a receiver may go on: at full pace while what it receives is kept, message by message with growing pauses while it is not. So
/// little is received that cannot be kept, and a message that is tells that the pauses may end.
/// </summary>
internal sealed class ReceiverPace
{
    private const int MessagesAtOnce = 10;
    private const long LongestPauseMs = 60_000;

    private readonly Lock _lock = new();
    private int _refusals;
    private long _pauseUntil;

    /// <summary>Whether the last messages could not be kept.</summary>
    public bool IsSlow
    {
        get
        {
            lock (_lock)
            {
                return _refusals > 0;
            }
        }
    }

    /// <summary>The most messages to receive at once.</summary>
    public int Most => IsSlow ? 1 : MessagesAtOnce;

    /// <summary>Milliseconds before which nothing is to be received.</summary>
    public long PauseMs(long now)
    {
        lock (_lock)
        {
            return Math.Max(0, _pauseUntil - now);
        }
    }

    /// <summary>A message was kept, or refused for good: the next is welcome.</summary>
    public void Kept()
    {
        lock (_lock)
        {
            (_refusals, _pauseUntil) = (0, 0);
        }
    }

    /// <summary>A message could not be kept now. Of those that were received together the first counts.</summary>
    public void Refused(double chance, long now)
    {
        lock (_lock)
        {
            if (now >= _pauseUntil)
            {
                _refusals++;
                _pauseUntil = now + Backoff.DelayMs(_refusals, chance, mostMs: LongestPauseMs);
            }
        }
    }
}
