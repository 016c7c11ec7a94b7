using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

/// <summary>
/// The rule to compare with: busy slots at a target utilisation, out at once but at most doubling, in after a fixed idle tail, as target tracking does.
/// </summary>
internal sealed class ReactiveRule(int desired)
{
    private const double TargetUtilisation = 0.7;
    private const long IdleTailMs = 300_000;
    private const long CooldownMs = 10_000;
    private const double FadeMs = 30_000;

    private int _desired = desired;
    private int _peak;
    private double _busy;
    private long _at;
    private long _changedAt;
    private long _idleSince;

    public int Observe(EndpointDefinition endpoint, in CapacityObservation observed)
    {
        _busy = Math.Max(observed.InFlight, observed.InFlight + ((_busy - observed.InFlight) * Math.Exp(-(observed.Now - _at) / FadeMs)));
        _at = observed.Now;
        var slots = (_busy < 0.05 ? 0 : _busy / TargetUtilisation) + observed.Waiting;
        var needed = (int)Math.Clamp(Math.Ceiling(slots / endpoint.ConcurrencyPerInstance), endpoint.MinInstances, endpoint.MaxInstances);
        var isIdle = needed < _desired;
        _peak = !isIdle ? 0 : _idleSince == 0 ? needed : Math.Max(_peak, needed);
        _idleSince = !isIdle ? 0 : _idleSince == 0 ? observed.Now : _idleSince;
        if (observed.Now - _changedAt < CooldownMs && _desired > 0)
        {
            return _desired;
        }

        if (needed > _desired)
        {
            Change(Math.Min(needed, Math.Max(1, _desired * 2)), observed.Now);
        }
        else if (isIdle && observed.Now - _idleSince >= IdleTailMs)
        {
            Change(_peak, observed.Now);
        }

        return _desired;
    }

    private void Change(int to, long now) => (_desired, _changedAt, _idleSince, _peak) = (to, now, 0, 0);
}
