using System.Collections.Concurrent;
using OrleansInference.Hosting;

namespace OrleansInference.Dispatch;

/// <summary>
/// Gives every call the token that ends it when no model may run longer. The sources are used again, since a timer is dear next to everything else
/// that the router does for a call.
/// </summary>
internal sealed class CallLimits(RouterClock clock)
{
    private const int MaxKept = 256;
    private readonly ConcurrentBag<CancellationTokenSource> _kept = [];

    // Only the system's own timers can be set anew.
    private readonly bool _canReuse = clock.TimeProvider == TimeProvider.System;

    /// <summary>Begins a call's time. Dispose it when the call has ended: its token is another call's then.</summary>
    /// <param name="longestMs">The longest that the call may run, in router milliseconds, greater than 0.</param>
    public Limit Begin(long longestMs)
    {
        var wall = clock.ToWall(TimeSpan.FromMilliseconds(longestMs));
        CancellationTokenSource? source = null;
        if (_canReuse)
        {
            source = _kept.TryTake(out var kept) ? kept : new();
            source.CancelAfter(wall);
        }
        else
        {
            source = new(wall, clock.TimeProvider);
        }

        return new(this, source);
    }

    private void End(CancellationTokenSource source)
    {
        if (_canReuse && _kept.Count < MaxKept && source.TryReset())
        {
            _kept.Add(source);
        }
        else
        {
            source.Dispose();
        }
    }

    /// <summary>One call's time.</summary>
    internal readonly struct Limit(CallLimits limits, CancellationTokenSource source) : IDisposable
    {
        /// <summary>Ends the call.</summary>
        public CancellationToken Token => source.Token;

        public void Dispose() => limits.End(source);
    }
}
