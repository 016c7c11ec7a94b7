namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Target tracking as AWS documents it (Application Auto Scaling user guide, "Target tracking scaling policies"): two alarms on one-minute data. The metric above
/// its target for three minutes in a row scales out, below nine tenths of it for fifteen scales in; the number wanted is the number in service times metric by
/// target, rounded up. While an alarm lasts it acts each minute. Instances that were asked for and do not serve yet are part of the capacity, so that within a
/// scale-out's cooldown, and until they serve, only a larger scale-out adds to it; a scale-in waits for the cooldown of the one before.
/// </summary>
internal sealed class TargetTracker
{
    private const int MinutesAbove = 3;
    private const int MinutesBelow = 15;
    private readonly int _minutesBelow;
    private const double BelowShare = 0.9;
    private readonly double _target;
    private readonly int _least;
    private readonly int _most;
    private readonly long _cooldownUs;
    private int _above;
    private int _below;
    private long _noScaleInUntilUs;

    /// <summary>A tracker.</summary>
    /// <param name="target">The metric's target per instance, greater than 0.</param>
    /// <param name="least">Fewest instances.</param>
    /// <param name="most">Most instances.</param>
    /// <param name="cooldownSeconds">Seconds after a scale-in before the next.</param>
    /// <param name="minutesBelow">Minutes below nine tenths of the target before a scale-in.</param>
    public TargetTracker(double target, int least, int most, double cooldownSeconds = 300, int minutesBelow = MinutesBelow)
    {
        _minutesBelow = minutesBelow;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(target);
        (_target, _least, _most, _cooldownUs) = (target, least, most, (long)(cooldownSeconds * 1e6));
    }

    /// <summary>A minute's data have come; the number of instances to want.</summary>
    /// <param name="total">The metric summed over the instances in service.</param>
    /// <param name="inService">Instances in service.</param>
    /// <param name="wanted">Instances wanted so far.</param>
    /// <param name="nowUs">Microseconds.</param>
    /// <param name="canChange">Whether the number wanted can be changed now.</param>
    public int Observe(double total, int inService, int wanted, long nowUs, bool canChange = true)
    {
        var metric = total / Math.Max(1, inService);
        _above = metric > _target ? _above + 1 : 0;
        _below = metric < BelowShare * _target ? _below + 1 : 0;
        if (!canChange)
        {
            return wanted;
        }

        var desired = (int)Math.Clamp(Math.Ceiling(total / _target), _least, _most);
        if (_above >= MinutesAbove && desired > wanted)
        {
            return desired;
        }

        if (_below >= _minutesBelow && desired < wanted && nowUs >= _noScaleInUntilUs)
        {
            _noScaleInUntilUs = nowUs + _cooldownUs;
            return desired;
        }

        return Math.Clamp(wanted, _least, _most);
    }
}
