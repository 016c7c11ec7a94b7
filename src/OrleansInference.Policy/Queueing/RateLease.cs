namespace OrleansInference.Queueing;

/// <summary>
/// The holder's side of a rate limit: the units of the bucket that one silo has, and the requests that it may admit from them without asking. Protocol
/// and rules of time are those of an escrow lease: a lease that was closed or fenced, or not renewed in time, never opens again; begin another with the
/// next number. Thread-safe; a lock is held for some nanoseconds.
/// </summary>
public sealed class RateLease
{
    private const double Micros = 1e6;
    // A request's worth, but for what is lost in rounding; what is taken too much is missing from the next.
    private const double Whole = 1 - 1e-9;
    private const double FollowMs = 5_000;
    private const double LeastDemand = 0.01;
    private const double DemandAhead = 2;

    private readonly Lock _lock = new();
    private readonly long _skewMs;
    private double _tokens;
    private double _perUnitMs;
    private double _demandPerMs;
    private long _at;
    private long _spendBefore;
    private long _granted;
    private long _returned;
    private long _microsGranted;
    private long _microsReturned;
    private long _keep = long.MaxValue;
    private long _asked;
    private long _reportedAt;
    private bool _isFenced;

    /// <summary>Begins an empty lease.</summary>
    /// <param name="leaseId">Its number within the holder, 1 or more; each new one is higher.</param>
    /// <param name="skewMs">The most by which clocks differ, in milliseconds.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public RateLease(long leaseId, long skewMs = 2_000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(leaseId, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(skewMs);
        (LeaseId, _skewMs) = (leaseId, skewMs);
    }

    /// <summary>Its number within the holder.</summary>
    public long LeaseId { get; }

    /// <summary>Whether nothing is admitted from it any more.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Whether the owner no longer honours it.</summary>
    public bool IsFenced => _isFenced;

    /// <summary>Units of the whole limit, as last heard: its burst; 0 before the first grant.</summary>
    public int Burst { get; private set; }

    /// <summary>Units held.</summary>
    public long Units => _granted - _returned;

    /// <summary>Admits a request, or says in <paramref name="quota"/> when to come back.</summary>
    /// <param name="now">The holder's time, Unix ms.</param>
    /// <param name="quota">What this holder has left.</param>
    public bool TryTake(long now, out RateQuota quota)
    {
        lock (_lock)
        {
            _asked++;
            Refill_NeedsLock(now);
            var isAdmitted = !IsClosed && now < _spendBefore && _tokens >= Whole;
            _tokens -= isAdmitted ? 1 : 0;
            quota = Quota_NeedsLock();
            return isAdmitted;
        }
    }

    /// <summary>What this holder has left, without taking anything.</summary>
    public RateQuota QuotaAt(long now)
    {
        lock (_lock)
        {
            Refill_NeedsLock(now);
            return Quota_NeedsLock();
        }
    }

    /// <summary>What to tell the owner now. Gives back what is above the owner's bound first.</summary>
    /// <param name="holder">The silo and its incarnation.</param>
    /// <param name="now">The holder's time, Unix ms.</param>
    /// <param name="closing">Whether to close the lease.</param>
    public RateReport BuildReport(string holder, long now, bool closing = false)
    {
        lock (_lock)
        {
            Refill_NeedsLock(now);
            Measure_NeedsLock(now);
            IsClosed |= closing || HasLapsed(now);

            // Demand in units: as many as are refilled with twice of it, so that parts are in proportion to demand, and bursts have room.
            var isIdle = IsClosed || _demandPerMs * 1000 < LeastDemand;
            var wanted = isIdle ? 0 : _perUnitMs > 0 ? (long)Math.Min(1e12, Math.Ceiling(DemandAhead * _demandPerMs / _perUnitMs)) : 1;
            var least = isIdle ? 0 : 1;
            GiveBack_NeedsLock(IsClosed ? 0 : Math.Max(_keep, least));
            return new()
            {
                Lease = new()
                {
                    Holder = holder,
                    LeaseId = LeaseId,
                    Returned = _returned,
                    Wanted = wanted,
                    AtLeast = least,
                    Closing = IsClosed,
                    DemandPerSecond = _demandPerMs * 1000,
                },
                MicrosReturned = _microsReturned,
            };
        }
    }

    /// <summary>Takes the owner's answer. One that is late, repeated or about another lease does no harm.</summary>
    public void Apply(RateGrant grant, long now)
    {
        ArgumentNullException.ThrowIfNull(grant);
        var lease = grant.Lease;
        if (lease.LeaseId != LeaseId)
        {
            return;
        }

        lock (_lock)
        {
            Refill_NeedsLock(now);
            _isFenced |= lease.Fenced || (lease.Granted < _granted && lease.SpendUntil - _skewMs > _spendBefore);
            IsClosed |= _isFenced || HasLapsed(now);
            if (IsClosed)
            {
                return;
            }

            (_perUnitMs, Burst, _keep) = (grant.PerUnitSecond / 1000, grant.Burst, lease.Keep);
            _spendBefore = Math.Max(_spendBefore, lease.SpendUntil - _skewMs);
            _granted = Math.Max(_granted, lease.Granted);
            if (grant.MicrosGranted > _microsGranted)
            {
                _tokens += (grant.MicrosGranted - _microsGranted) / Micros;
                _microsGranted = grant.MicrosGranted;
            }

            _tokens = Math.Min(_tokens, Units);
        }
    }

    // Once its time was over the owner may have given the units to others: no later grant revives it.
    private bool HasLapsed(long now) => _spendBefore > 0 && now >= _spendBefore;

    private void GiveBack_NeedsLock(long keep)
    {
        var surplus = Units - keep;
        if (surplus <= 0)
        {
            return;
        }

        // Full units and empty ones go in the proportion in which they are here.
        var gone = (long)(_tokens * surplus / Units * Micros);
        _tokens -= gone / Micros;
        _microsReturned += gone;
        _returned += surplus;
        _tokens = Math.Clamp(_tokens, 0, Units);
    }

    private void Refill_NeedsLock(long now)
    {
        if (_at != 0 && now > _at)
        {
            _tokens = Math.Min(Units, _tokens + (Units * _perUnitMs * (now - _at)));
        }

        _at = Math.Max(_at, now);
    }

    private void Measure_NeedsLock(long now)
    {
        if (_reportedAt != 0 && now <= _reportedAt)
        {
            return;
        }

        var elapsed = _reportedAt == 0 ? FollowMs : now - _reportedAt;
        var follow = 1 - Math.Exp(-elapsed / FollowMs);
        _demandPerMs += follow * ((_asked / elapsed) - _demandPerMs);
        (_asked, _reportedAt) = (0, now);
    }

    private RateQuota Quota_NeedsLock()
    {
        var perMs = Units * _perUnitMs;
        return perMs <= 0
            ? new(Burst, 0, 0, 0)
            : new(Burst, (long)(_tokens + 1 - Whole), (long)Math.Ceiling((Units - _tokens) / perMs), _tokens >= Whole ? 0 : (long)Math.Ceiling((1 - _tokens) / perMs));
    }
}
