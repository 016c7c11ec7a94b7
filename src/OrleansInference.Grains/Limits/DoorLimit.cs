using OrleansInference.Hosting;
using OrleansInference.Leases;
using OrleansInference.Queueing;

namespace OrleansInference.Limits;

/// <summary>One limit of a tenant on this silo: what it may admit without asking.</summary>
internal sealed class DoorLimit(LimitDefinition definition, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock)
{
    private const long LeastRetryMs = 50;
    private const long MostRetryMs = 60_000;

    private readonly RateGate? _rate = definition.RequestsPerSecond > 0 ? new(definition.Class, grain, holder, clock) : null;
    private readonly InFlightGate? _inFlight = definition.MaxInFlight > 0 ? new(definition.Class, grain, holder, clock) : null;

    /// <summary>The limit.</summary>
    public LimitDefinition Definition { get; } = definition;

    /// <summary>The most requests at once that a rate allows.</summary>
    public static int BurstOf(LimitDefinition definition) =>
        definition.Burst > 0 ? definition.Burst : (int)Math.Clamp(Math.Ceiling(definition.RequestsPerSecond), 1, int.MaxValue);

    /// <summary>Whether it is for requests of a class.</summary>
    public bool AppliesTo(TrafficClass trafficClass) => Definition.Class is null || Definition.Class == trafficClass;

    /// <summary>Counts a request as in flight; null if there are as many as may.</summary>
    /// <returns>What to give back when it has ended; default if the limit counts none.</returns>
    public ValueTask<(bool IsAdmitted, HeldLease? Held)> EnterAsync() => _inFlight?.EnterAsync() ?? new((true, null));

    /// <summary>Takes one request out of the rate.</summary>
    public ValueTask<bool> TakeAsync() => _rate?.TakeAsync() ?? new(true);

    /// <summary>In how many milliseconds to come back after the rate has refused.</summary>
    public long RetryAfterMs()
    {
        var quota = _rate?.Quota() ?? default;
        var one = (long)Math.Ceiling(1000 / Definition.RequestsPerSecond);
        return Math.Clamp(Math.Max(quota.RetryAfterMs, one), LeastRetryMs, MostRetryMs);
    }

    /// <summary>Adds what is left.</summary>
    public void AddQuotas(List<LimitQuota> quotas)
    {
        if (_rate is not null)
        {
            var quota = _rate.Quota();
            quotas.Add(new(Definition.Class, true, BurstOf(Definition), Definition.RequestsPerSecond, quota.Remaining, quota.ResetMs));
        }

        if (_inFlight is not null)
        {
            quotas.Add(new(Definition.Class, false, Definition.MaxInFlight, 0, Math.Max(0, _inFlight.Available), 0));
        }
    }

    /// <summary>Reports to the owner; gives all of it back if <paramref name="closing"/>.</summary>
    public Task BeatAsync(bool closing) => Task.WhenAll(_rate?.BeatAsync(closing) ?? Task.CompletedTask, _inFlight?.BeatAsync(closing) ?? Task.CompletedTask);

    /// <summary>Requests in flight.</summary>
    private sealed class InFlightGate(TrafficClass? limit, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock) : LeaseAccount(holder, clock)
    {
        private const long FullMs = 100;
        private long _fullUntil;

        public async ValueTask<(bool IsAdmitted, HeldLease? Held)> EnterAsync()
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

            if (await RefillOnceAsync(static () => 1) is null)
            {
                // The limit has just been taken away.
                return (true, null);
            }

            now = Clock.Now;
            held = TryReserve(1, now);
            if (held is null)
            {
                Volatile.Write(ref _fullUntil, now + FullMs);
            }

            return (held is not null, held);
        }

        protected override Task<LeaseGrant?> SendAsync(LeaseReport report) => grain.RefillInFlight(limit, report);
    }

    /// <summary>The rate.</summary>
    private sealed class RateGate(TrafficClass? limit, ITenantLimitsGrain grain, LeaseHolderIdentity holder, RouterClock clock)
    {
        private const long EmptyMs = 50;
        private readonly Lock _lock = new();
        private readonly List<RateLease> _closed = [];
        private volatile RateLease _lease = new(holder.NextLeaseId());
        private Task? _reporting;
        private long _emptyUntil;

        public ValueTask<bool> TakeAsync()
        {
            var now = clock.Now;
            return _lease.TryTake(now, out _) ? new(true) : now < Volatile.Read(ref _emptyUntil) ? new(false) : AskAsync();
        }

        public RateQuota Quota() => _lease.QuotaAt(clock.Now);

        public async Task BeatAsync(bool closing)
        {
            if (closing)
            {
                lock (_lock)
                {
                    _closed.Add(_lease);
                    _lease = new(holder.NextLeaseId());
                }
            }
            else if (_lease.Burst > 0)
            {
                await ReportAsync();
            }

            await CloseAsync();
        }

        private async ValueTask<bool> AskAsync()
        {
            await ReportAsync();
            if (_lease.TryTake(clock.Now, out _))
            {
                return true;
            }

            // Others hold it all, or it is spent: what is kept at home for such silos is asked for.
            if (await grain.TakeRate(limit) is not false)
            {
                return true;
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
