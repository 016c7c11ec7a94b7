using System.Collections.Immutable;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Persistence;
using OrleansInference.Queueing;
using OrleansInference.Tenants;

namespace OrleansInference.Limits;

/// <summary>What is left of a tenant's limits, as it is stored.</summary>
public sealed record TenantLimitsState
{
    /// <summary>Of each limit.</summary>
    public IReadOnlyList<LimitState> Limits { get; init; } = [];
}

/// <summary>What is left of one limit.</summary>
public sealed record LimitState
{
    /// <summary>The class that it is for; null: for all.</summary>
    public TrafficClass? Class { get; init; }

    /// <summary>The rate.</summary>
    public RateLimitState? Rate { get; init; }

    /// <summary>Requests in flight, as slots on leases.</summary>
    public EscrowState? InFlight { get; init; }
}

/// <summary>Owns what is left of a tenant's limits: what silos are granted is durable before they hear of it.</summary>
[CollectionAgeLimit(Minutes = 5)]
internal sealed class TenantLimitsGrain(
    [PersistentState("limits", OrleansInferenceOptions.StorageName)] IPersistentState<TenantLimitsState> storage,
    RouterClock clock) : DurableGrain<TenantLimitsState>(storage, clock), ITenantLimitsGrain
{
    private const long FreshMs = 1_000;

    // A silo that asks for a limit which is not known may have heard of it first.
    private const long NewMs = 50;

    private readonly List<Limit> _limits = [];
    private long _readAt = long.MinValue / 2;
    private Task? _reading;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        foreach (var state in Stored.Limits)
        {
            _limits.Add(new(state.Class) { StoredRate = state.Rate, InFlight = new(Leases, state.InFlight) });
        }

        return Task.CompletedTask;
    }

    public async Task<RateGrant?> RefillRate(TrafficClass? limit, RateReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        if ((await FindAsync(limit))?.Rate is not { } rate)
        {
            return null;
        }

        var grant = rate.Report(report, Clock.Now);
        await PersistAsync();
        return grant;
    }

    public async Task<bool?> TakeRate(TrafficClass? limit)
    {
        if ((await FindAsync(limit))?.Rate is not { } rate)
        {
            return null;
        }

        var isAdmitted = rate.TryTake(Clock.Now, out var mustStore);
        if (mustStore)
        {
            await PersistAsync();
        }

        return isAdmitted;
    }

    public async Task<LeaseGrant?> RefillInFlight(TrafficClass? limit, LeaseReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        if (await FindAsync(limit) is not { MaxInFlight: > 0 } found)
        {
            return null;
        }

        var now = Clock.Now;
        found.InFlight.Expire(now);
        var reply = found.InFlight.Report(report, now, found.MaxInFlight - found.InFlight.Outstanding);
        await PersistAsync();
        return reply.Grant;
    }

    protected override TenantLimitsState Capture() => new()
    {
        Limits = [.. _limits.Select(static limit => new LimitState { Class = limit.Class, Rate = limit.Rate?.ToState() ?? limit.StoredRate, InFlight = limit.InFlight.ToState() })],
    };

    // A request that went through a silo that has died is over.
    private EscrowOptions Leases => LeaseTimes.ForSlots(Clock, 0);

    private async ValueTask<Limit?> FindAsync(TrafficClass? limit)
    {
        RequireAlive();
        var now = Clock.Now;
        var isKnown = _limits.Exists(each => each.Class == limit && each.IsConfigured);
        if (_reading is not { IsCompleted: false } && (now - _readAt > (isKnown ? FreshMs : NewMs) || now < _readAt))
        {
            _readAt = now;
            _reading = ReadAsync();
        }

        // Who asks for what is not known yet, while it is being read, is not told that there is no limit.
        if (_reading is { IsCompleted: false } reading)
        {
            await reading;
        }

        return _limits.Find(each => each.Class == limit);
    }

    private async Task ReadAsync() => Configure((await GrainFactory.GetGrain<ITenantGrain>(this.GetPrimaryKeyString()).GetDefinition())?.Limits ?? []);

    private void Configure(ImmutableArray<LimitDefinition> definitions)
    {
        foreach (var limit in _limits)
        {
            limit.Configure(null, Leases);
        }

        foreach (var definition in definitions.IsDefault ? [] : definitions)
        {
            var limit = _limits.Find(each => each.Class == definition.Class);
            if (limit is null)
            {
                _limits.Add(limit = new(definition.Class) { InFlight = new(Leases) });
            }

            limit.Configure(definition, Leases);
        }
    }

    private sealed class Limit(TrafficClass? trafficClass)
    {
        public TrafficClass? Class { get; } = trafficClass;

        public RateLimitState? StoredRate { get; set; }

        public RateLimit? Rate { get; private set; }

        public required Escrow InFlight { get; init; }

        public int MaxInFlight { get; private set; }

        public bool IsConfigured { get; private set; }

        public void Configure(LimitDefinition? definition, EscrowOptions leases)
        {
            (MaxInFlight, IsConfigured) = (definition?.MaxInFlight ?? 0, definition is not null);
            if (definition is not { RequestsPerSecond: > 0 })
            {
                (StoredRate, Rate) = (Rate?.ToState() ?? StoredRate, null);
                return;
            }

            var burst = DoorLimit.BurstOf(definition);
            if (Rate is null)
            {
                (Rate, StoredRate) = (new(definition.RequestsPerSecond, burst, leases, StoredRate), null);
            }
            else
            {
                Rate.Set(definition.RequestsPerSecond, burst);
            }
        }
    }
}
