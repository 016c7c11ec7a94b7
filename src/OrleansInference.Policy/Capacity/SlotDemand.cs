namespace OrleansInference.Capacity;

/// <summary>What the calls of an endpoint do: how long they take, how many of each class are in flight, and what follows for the limit and the headroom. Not thread-safe.</summary>
public sealed class SlotDemand
{
    /// <summary>Over how long averages fade, in milliseconds.</summary>
    internal const double FadeMs = 60_000;

    private const double ServiceShare = 0.05;

    private readonly AdaptiveLimit _limiter;
    private readonly Headroom _headroom;
    private double _meanHigh;
    private double _meanMedium;
    private long _meansAt;

    /// <summary>Begins with nothing seen, or with what was stored.</summary>
    public SlotDemand(AdaptiveLimitState? limiter = null, HeadroomState? headroom = null) => (_limiter, _headroom) = (new(limiter), new(headroom));

    /// <summary>How long a call takes on average, in milliseconds.</summary>
    public double ServiceMs { get; private set; }

    /// <summary>Why the limit last changed; empty if it never did.</summary>
    public string LimitReason => _limiter.ToState().Reason;

    /// <summary>Whether calls of <see cref="TrafficClass.High"/> have been seen, so that what is said of the headroom rests on something.</summary>
    public bool HasSeenHigh => _headroom.ToState().SeenAt > 0;

    /// <summary>Slots that calls of <see cref="TrafficClass.High"/> had on average over the last minute or so; null before anything was heard.</summary>
    public double? MeanHigh => _meansAt == 0 ? null : _meanHigh;

    /// <summary>And calls of <see cref="TrafficClass.Medium"/>.</summary>
    public double? MeanMedium => _meansAt == 0 ? null : _meanMedium;

    /// <summary>The limiter as it is to be stored.</summary>
    public AdaptiveLimitState ToLimiterState() => _limiter.ToState();

    /// <summary>The headroom as it is to be stored.</summary>
    public HeadroomState ToHeadroomState() => _headroom.ToState();

    /// <summary>Slots of so many that may be in use.</summary>
    internal int Limit(int slots) => _limiter.Limit(slots);

    /// <summary>Slots of so many that lower classes leave free.</summary>
    /// <param name="slots">Slots there are.</param>
    /// <param name="serviceMs">How long a call takes on average, in milliseconds; 0: not known.</param>
    /// <param name="waitMs">How long a request of High can wait for a slot, in milliseconds; 0: not at all.</param>
    public int Headroom(int slots, double serviceMs = 0, double waitMs = 0) => _headroom.Slots(slots, serviceMs, waitMs);

    /// <summary>Takes how long a call is believed to take, as long as none has been seen.</summary>
    internal void Assume(double priorServiceMs) => ServiceMs = ServiceMs > 0 ? ServiceMs : Math.Max(1, priorServiceMs);

    /// <summary>Takes what ended on a silo.</summary>
    internal void Observe(EndpointDemand demand, int slots, long inFlight, long now)
    {
        if (demand.Whole > 0 && demand.AnsweredMilliseconds > 0)
        {
            var mean = (double)demand.AnsweredMilliseconds / demand.Whole;
            ServiceMs += (1 - Math.Pow(1 - ServiceShare, demand.Whole)) * (mean - ServiceMs);
        }

        _limiter.Observe(new()
        {
            Now = now,
            Slots = slots,
            InFlight = (int)Math.Min(int.MaxValue, inFlight),
            Completions = Math.Max(0, demand.Completions) + Math.Max(0, demand.DeferredCompletions),
            Throttled = demand.Throttled,
            Failed = demand.Failed,
            BusyMs = demand.Queue is null ? demand.BusyMilliseconds : demand.AnsweredMilliseconds,
            ExpectedMs = demand.ExpectedMilliseconds,
        });
    }

    /// <summary>Takes how many calls are in flight on all silos, and how many of High wait.</summary>
    /// <param name="high">Calls of <see cref="TrafficClass.High"/>.</param>
    /// <param name="medium">Calls of <see cref="TrafficClass.Medium"/>.</param>
    /// <param name="highWaiting">Requests of High that wait.</param>
    /// <param name="now">Unix ms.</param>
    public void InFlight(int high, int medium, int highWaiting, long now)
    {
        _headroom.Observe(now, high + highWaiting);
        var fade = _meansAt == 0 ? 0 : Math.Exp(-Math.Max(0, now - _meansAt) / FadeMs);
        _meansAt = Math.Max(_meansAt, now);
        _meanHigh = (_meanHigh * fade) + (high * (1 - fade));
        _meanMedium = (_meanMedium * fade) + (medium * (1 - fade));
    }
}
