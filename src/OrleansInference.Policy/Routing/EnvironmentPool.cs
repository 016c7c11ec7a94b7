namespace OrleansInference.Routing;

/// <summary>
/// What a silo believes of the warm environments of a serverless endpoint: each concurrent execution has its own, which
/// stays warm for a while after use and is reused last in, first out. Safe for concurrent use; bounded.
/// </summary>
public sealed class EnvironmentPool
{
    /// <summary>Assumed time an environment stays warm after use, in milliseconds. AWS states none; about five minutes are observed, and a little less is safe.</summary>
    public const long DefaultKeepWarmMs = 270_000;

    private readonly Lock _lock = new();
    private readonly long[] _idleSince;
    private readonly long _keepWarmMs;
    private int _oldest;
    private int _count;

    /// <summary>Tracks at most <paramref name="maxEnvironments"/> idle environments, each warm for <paramref name="keepWarmMs"/> after use.</summary>
    public EnvironmentPool(int maxEnvironments, long keepWarmMs = DefaultKeepWarmMs)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEnvironments, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(keepWarmMs);
        _idleSince = new long[maxEnvironments];
        _keepWarmMs = keepWarmMs;
    }

    /// <summary>Idle environments still warm at <paramref name="now"/>.</summary>
    public int WarmIdle(long now)
    {
        lock (_lock)
        {
            return Expire_NeedsLock(now);
        }
    }

    /// <summary>An execution begins; true if it most likely found a warm environment.</summary>
    public bool Begin(long now)
    {
        lock (_lock)
        {
            var warm = Expire_NeedsLock(now) > 0;
            _count -= warm ? 1 : 0;
            return warm;
        }
    }

    /// <summary>An execution ended: its environment is idle from now on.</summary>
    public void End(long now)
    {
        lock (_lock)
        {
            if (_count == _idleSince.Length)
            {
                _oldest = (_oldest + 1) % _idleSince.Length;
                _count--;
            }

            _idleSince[(_oldest + _count++) % _idleSince.Length] = now;
        }
    }

    private int Expire_NeedsLock(long now)
    {
        while (_count > 0 && now - _idleSince[_oldest] >= _keepWarmMs)
        {
            _oldest = (_oldest + 1) % _idleSince.Length;
            _count--;
        }

        return _count;
    }
}
