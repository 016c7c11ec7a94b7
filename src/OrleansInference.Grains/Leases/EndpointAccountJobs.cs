namespace OrleansInference.Leases;

// Jobs: those of the async lane, and those that are deferred to slots which are free anyway.
internal sealed partial class EndpointAccount
{
    private int _deferredInFlight;
    private volatile JobFlow? _jobs;
    private volatile RecentWork? _deferred;

    /// <summary>The call of a deferred job is sent on the slot that it has.</summary>
    public void DeferredBegins() => Interlocked.Increment(ref _deferredInFlight);

    /// <summary>As <see cref="Release"/>, of a call that <see cref="DeferredBegins"/>.</summary>
    public void ReleaseDeferred(HeldLease held, TrafficClass trafficClass, CallEnd end, long busyMs, double expectedMs, Money charged)
    {
        Interlocked.Decrement(ref _deferredInFlight);
        _demand.DeferredEnded(end, busyMs, (long)expectedMs, charged);
        Return(held, trafficClass);
    }

    /// <summary>A job is put off to slots of it that are free anyway: it counts in quotes from here on.</summary>
    /// <param name="serviceMs">Slot-milliseconds that it is expected to take.</param>
    public void Deferred(double serviceMs) => (_deferred ?? Interlocked.CompareExchange(ref _deferred, new(), null) ?? _deferred!).Add((long)serviceMs, Clock.Now);

    /// <summary>Slot-milliseconds that this silo put off since a moment.</summary>
    /// <param name="since">Unix ms.</param>
    public long DeferredSince(long since) => _deferred?.Since(since, Clock.Now) ?? 0;

    /// <summary>A job is decided for the async lane and is being handed over: it counts in quotes from here on.</summary>
    public void JobComing() => Jobs.Changed(1);

    /// <summary>A job that was <see cref="JobComing"/> was not taken.</summary>
    public void JobRefused() => Jobs.Changed(-1);

    /// <summary>A job that was <see cref="JobComing"/> is on the async lane.</summary>
    /// <param name="serviceMs">How long it is expected to take, in milliseconds.</param>
    public void JobBegan(double serviceMs)
    {
        Touch(Clock.Now);
        _demand.Arrived(TrafficClass.Low, 0, serviceMs);
    }

    /// <summary>A request was turned away that would have been a job of the async lane, had that had instances.</summary>
    /// <param name="serviceMs">How long it would have taken, in milliseconds.</param>
    public void JobTurnedAway(double serviceMs)
    {
        Touch(Clock.Now);
        _demand.Refused(serviceMs);
    }

    /// <summary>A job of the async lane ended.</summary>
    public void JobEnded(bool answered, Money charged)
    {
        Touch(Clock.Now);
        Jobs.Changed(-1);
        _demand.Ended(TrafficClass.Low, answered ? CallEnd.Answered : CallEnd.Failed, 0, 0, Money.Zero, charged);
    }

    private JobFlow Jobs => _jobs ?? Interlocked.CompareExchange(ref _jobs, new(), null) ?? _jobs!;
}
