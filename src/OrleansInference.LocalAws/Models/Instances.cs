using OrleansInference.Hosting;

namespace OrleansInference.LocalAws.Models;

/// <summary>How many instances serve an endpoint, and how many are wanted.</summary>
/// <param name="Current">In service.</param>
/// <param name="Desired">Wanted.</param>
/// <param name="Updating">Whether a change is under way.</param>
/// <param name="InstanceSeconds">Seconds billed since the server started, from in service to release.</param>
internal readonly record struct InstanceState(int Current, int Desired, bool Updating, double InstanceSeconds);

/// <summary>The instances of an endpoint: new ones take their time to come up, and one change runs at a time.</summary>
internal sealed class Instances
{
    // Releasing is quick next to starting, yet the endpoint is updating while it lasts.
    private static readonly TimeSpan ReleaseTime = TimeSpan.FromSeconds(10);

    private readonly RouterClock _clock;
    private readonly Action<int> _resized;
    private readonly Lock _gate = new();
    private int _current;
    private int _desired;
    private bool _updating;
    private long _billedTo;
    private double _billedSeconds;

    /// <param name="clock">The models' clock.</param>
    /// <param name="count">In service from the start.</param>
    /// <param name="resized">Told the number in service whenever it changes.</param>
    public Instances(RouterClock clock, int count, Action<int> resized)
    {
        _clock = clock;
        _resized = resized;
        _current = _desired = count;
        _billedTo = clock.Now;
    }

    public InstanceState State
    {
        get
        {
            lock (_gate)
            {
                Bill_NeedsLock();
                return new(_current, _desired, _updating, _billedSeconds);
            }
        }
    }

    /// <summary>Begins a change; false if one is under way.</summary>
    /// <param name="desired">Instances wanted.</param>
    /// <param name="startSeconds">Seconds until a new one serves.</param>
    /// <param name="begun">Called inside the decision, before the change begins: persists it.</param>
    /// <param name="stopping">Ends the change when the server stops.</param>
    public bool TryChange(int desired, double startSeconds, Action begun, CancellationToken stopping)
    {
        lock (_gate)
        {
            if (_updating)
            {
                return false;
            }

            begun();
            _desired = desired;
            if (desired == _current)
            {
                return true;
            }

            _updating = true;
            if (desired < _current)
            {
                // No new request reaches what is being released.
                Set_NeedsLock(desired);
            }
        }

        _ = CompleteAsync(desired, desired > State.Current ? TimeSpan.FromSeconds(startSeconds) : ReleaseTime, stopping);
        return true;
    }

    private async Task CompleteAsync(int desired, TimeSpan after, CancellationToken stopping)
    {
        try
        {
            await _clock.DelayAsync(after, stopping);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        lock (_gate)
        {
            Set_NeedsLock(desired);
            _updating = false;
        }
    }

    private void Set_NeedsLock(int count)
    {
        Bill_NeedsLock();
        _current = count;
        _resized(count);
    }

    private void Bill_NeedsLock()
    {
        var now = _clock.Now;
        _billedSeconds += _current * Math.Max(0, now - _billedTo) / 1000.0;
        _billedTo = now;
    }
}
