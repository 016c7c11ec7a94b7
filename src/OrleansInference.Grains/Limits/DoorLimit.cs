using OrleansInference.Hosting;
using OrleansInference.Leases;
using OrleansInference.Queueing;

namespace OrleansInference.Limits;

/// <summary>One limit of a tenant on this silo: what it may admit without asking.</summary>
internal sealed class DoorLimit(LimitDefinition definition, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock)
{
    private const long LeastRetryMs = 50;
    private const long MostRetryMs = 86_400_000;

    private readonly RateGate? _rate = definition.RequestsPerSecond > 0 ? new(definition.Class, grain, holder, clock) : null;
    private readonly InFlightGate? _inFlight = definition.MaxInFlight > 0 ? new(definition.Class, grain, holder, clock) : null;

    /// <summary>The limit.</summary>
    public LimitDefinition Definition { get; private set; } = definition;

    /// <summary>Whether nothing of it is held on this silo.</summary>
    public bool IsOver => (_rate?.IsOver ?? true) && (_inFlight?.IsOver ?? true);

    /// <summary>Takes other numbers, which the owner enforces; false if it would have to be another limit.</summary>
    public bool TryTake(LimitDefinition other)
    {
        if (other.Class != Definition.Class || (other.RequestsPerSecond > 0) != (_rate is not null) || (other.MaxInFlight > 0) != (_inFlight is not null))
        {
            return false;
        }

        Definition = other;
        return true;
    }

    /// <summary>The most requests at once that a rate allows.</summary>
    public static int BurstOf(LimitDefinition definition) =>
        definition.Burst > 0 ? definition.Burst : (int)Math.Clamp(Math.Ceiling(definition.RequestsPerSecond), 1, int.MaxValue);

    /// <summary>Whether it is for requests of a class.</summary>
    public bool AppliesTo(TrafficClass trafficClass) => Definition.Class is null || Definition.Class == trafficClass;

    /// <summary>Counts a request as in flight; null if there are as many as may.</summary>
    /// <returns>What to give back when it has ended; default if the limit counts none.</returns>
    public ValueTask<(bool IsAdmitted, HeldLease? Held)> EnterAsync(CancellationToken cancellationToken) => _inFlight?.EnterAsync(cancellationToken) ?? new((true, null));

    /// <summary>Takes one request out of the rate.</summary>
    public ValueTask<bool> TakeAsync(CancellationToken cancellationToken) => _rate?.TakeAsync(cancellationToken) ?? new(true);

    /// <summary>In how many milliseconds to come back after the rate has refused.</summary>
    public long RetryAfterMs() => (long)Math.Clamp(Math.Ceiling(1000 / Definition.RequestsPerSecond), LeastRetryMs, MostRetryMs);

    /// <summary>Adds what is left.</summary>
    public void AddQuotas(List<LimitQuota> quotas)
    {
        if (_rate is not null)
        {
            var quota = _rate.Quota();
            var burst = BurstOf(Definition);
            var left = Math.Min(burst, quota.Remaining + _rate.AtHome);
            quotas.Add(new(Definition.Class, true, burst, Definition.RequestsPerSecond, left, (long)Math.Ceiling((burst - left) * 1000 / Definition.RequestsPerSecond)));
        }

        if (_inFlight is not null)
        {
            quotas.Add(new(Definition.Class, false, Definition.MaxInFlight, 0, Math.Max(0, Definition.MaxInFlight - _inFlight.Open), 0));
        }
    }

    /// <summary>Reports to the owner; gives all of it back if <paramref name="closing"/>.</summary>
    public Task BeatAsync(bool closing) => Task.WhenAll(_rate?.BeatAsync(closing) ?? Task.CompletedTask, _inFlight?.BeatAsync(closing) ?? Task.CompletedTask);

    /// <summary>Requests in flight.</summary>
    private sealed class InFlightGate(TrafficClass? limit, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock) : LeaseAccount(holder, clock)
    {
        private const long FullMs = 100;
        /// <summary>Requests in flight that were let in here.</summary>
        public long Open => Current.Open;

        private readonly Lock _lock = new();
        private Task<bool?>? _asking;
        private (long Lease, long Granted) _last;
        private long _fullUntil;

        public async ValueTask<(bool IsAdmitted, HeldLease? Held)> EnterAsync(CancellationToken cancellationToken)
        {
            var now = Clock.Now;
            if (TryReserve(1, now) is { } held)
            {
                RefillSoon(held, now);
                return (true, held);
            }

            if (now < Volatile.Read(ref _fullUntil))
            {
                return (false, null);
            }

            while (true)
            {
                switch (await AskAsync().WaitAsync(cancellationToken))
                {
                    case null:
                        // The limit has just been taken away.
                        return (true, null);
                    case var hasMore:
                        now = Clock.Now;
                        if (TryReserve(1, now) is { } granted)
                        {
                            return (true, granted);
                        }

                        if (hasMore is false)
                        {
                            Volatile.Write(ref _fullUntil, now + FullMs);
                            return (false, null);
                        }

                        // Others were quicker; as long as there is something to be had it is asked for again.
                        break;
                }
            }
        }

        protected override Task<LeaseGrant?> SendAsync(LeaseReport report) => grain.RefillInFlight(limit, report);

        // Who comes while the owner is asked waits for that answer: a flood makes one call at a time. Whether it granted anything; null if there is no limit.
        private Task<bool?> AskAsync()
        {
            lock (_lock)
            {
                return _asking is { IsCompleted: false } running ? running : _asking = AskOnceAsync();
            }
        }

        private async Task<bool?> AskOnceAsync()
        {
            await Task.Yield();
            if (await RefillOnceAsync(static () => 1) is not { } grant)
            {
                return null;
            }

            var hasMore = (grant.LeaseId, grant.Granted) != _last && grant.Granted > 0;
            _last = (grant.LeaseId, grant.Granted);
            return hasMore;
        }
    }

    /// <summary>The rate.</summary>
    private sealed class RateGate(TrafficClass? limit, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock)
    {
        private const long EmptyMs = 50;
        private const int MostAsking = 4;
        private readonly Lock _lock = new();
        private readonly List<RateLease> _closed = [];
        private volatile RateLease _lease = new(holder.NextLeaseId());
        private Task? _reporting;
        private long _emptyUntil;
        private int _asking;

        /// <summary>Whether the owner has been told of everything.</summary>
        public bool IsOver
        {
            get
            {
                lock (_lock)
                {
                    return _closed.Count == 0 && _lease.Burst == 0;
                }
            }
        }

        public ValueTask<bool> TakeAsync(CancellationToken cancellationToken)
        {
            var now = clock.Now;
            return _lease.TryTake(now, out _) ? new(true) : now < Volatile.Read(ref _emptyUntil) ? new(false) : AskAsync(cancellationToken);
        }

        public RateQuota Quota() => _lease.QuotaAt(clock.Now);

        /// <summary>Requests that the owner had room for beside this silo's, as last heard.</summary>
        public long AtHome { get; private set; }

        public async Task BeatAsync(bool closing)
        {
            if (closing)
            {
                lock (_lock)
                {
                    if (_lease.Burst > 0)
                    {
                        _closed.Add(_lease);
                        _lease = new(holder.NextLeaseId());
                    }
                }
            }
            else if (_lease.Burst > 0)
            {
                await ReportAsync();
            }

            await CloseAsync();
        }

        private async ValueTask<bool> AskAsync(CancellationToken cancellationToken)
        {
            await ReportAsync().WaitAsync(cancellationToken);
            var now = clock.Now;
            if (_lease.TryTake(now, out _))
            {
                return true;
            }

            // Others hold it all, or it is spent: what is kept at home for such silos is asked for, by a few at a time.
            if (now < Volatile.Read(ref _emptyUntil))
            {
                return false;
            }

            try
            {
                if (Interlocked.Increment(ref _asking) <= MostAsking && await grain.TakeRate(limit) is not false)
                {
                    return true;
                }
            }
            finally
            {
                Interlocked.Decrement(ref _asking);
            }

            Volatile.Write(ref _emptyUntil, clock.Now + EmptyMs);
            return false;
        }

        /// <summary>Sends a report; who comes while one is under way waits for that.</summary>
        private Task ReportAsync()
        {
            lock (_lock)
            {
                return _reporting is { IsCompleted: false } running ? running : _reporting = ReportOnceAsync();
            }
        }

        private async Task ReportOnceAsync()
        {
            await Task.Yield();
            var lease = _lease;
            var report = lease.BuildReport(holder.Name, clock.Now);
            if (lease.IsClosed)
            {
                lease = Replace(lease);
                report = lease.BuildReport(holder.Name, clock.Now);
            }

            if (await grain.RefillRate(limit, report) is { } grant)
            {
                lease.Apply(grant, clock.Now);
                AtHome = grant.AtHome;
                if (lease.IsClosed)
                {
                    Replace(lease);
                }
            }
        }

        private RateLease Replace(RateLease lease)
        {
            lock (_lock)
            {
                if (_lease == lease)
                {
                    _closed.Add(lease);
                    _lease = new(holder.NextLeaseId());
                }

                return _lease;
            }
        }

        private async Task CloseAsync()
        {
            RateLease[] closed;
            lock (_lock)
            {
                closed = [.. _closed];
            }

            foreach (var lease in closed)
            {
                await grain.RefillRate(limit, lease.BuildReport(holder.Name, clock.Now, closing: true));
                lock (_lock)
                {
                    _closed.Remove(lease);
                }
            }
        }
    }
}
