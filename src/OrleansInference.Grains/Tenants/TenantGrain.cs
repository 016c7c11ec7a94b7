using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Persistence;
using OrleansInference.Telemetry;

namespace OrleansInference.Tenants;

/// <summary>What a tenant's grain stores.</summary>
public sealed record TenantGrainState
{
    /// <summary>The tenant; null until it is configured.</summary>
    public TenantDefinition? Definition { get; init; }

    /// <summary>Counts up with every change of the definition.</summary>
    public long Version { get; init; }

    /// <summary>Whether the tenant was taken out of the catalog; its ledger is kept.</summary>
    public bool IsRemoved { get; init; }

    /// <summary>The ledger.</summary>
    public TenantLedgerState? Ledger { get; init; }

    /// <summary>The pacing weight.</summary>
    public PacingState? Pacing { get; init; }

    /// <summary>The jobs that wait for the budget; null if none does.</summary>
    public IReadOnlyList<HeldJob>? Held { get; init; }
}

/// <summary>
/// Owns a tenant's ledger: every grant, reservation and settlement is durable before it is answered. It takes turns of its own
/// only while silos hold leases, and leaves memory some minutes after its last use: all that time does to an idle ledger
/// is made up for at the next.
/// </summary>
[CollectionAgeLimit(Minutes = 2)]
internal sealed partial class TenantGrain(
    [PersistentState("tenant", OrleansInferenceOptions.StorageName)] IPersistentState<TenantGrainState> storage,
    RouterClock clock,
    IEnumerable<IBudgetEvents> events,
    IOptions<OrleansInferenceOptions> options,
    ILogger<TenantGrain> logger) : DurableGrain<TenantGrainState>(storage, clock), ITenantGrain
{
    private static readonly TimeSpan TickPeriod = TimeSpan.FromSeconds(2);
    private static readonly TenantGrainState Empty = new();

    private TenantDefinition? _definition;
    private TenantLedger? _ledger;
    private Pacing _pacing = new();
    private IGrainTimer? _timer;
    private HeldJobs _held = new();
    private long _version;
    private bool _isRemoved;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await ReadIfDroppedAsync(Empty);
        if (Stored.Definition is { } definition)
        {
            _definition = definition;
            (_version, _isRemoved) = (Stored.Version, Stored.IsRemoved);
            _ledger = new(definition, Stored.Ledger, LeaseTimes.ForMoney(Clock, options.Value));
            _pacing = new(Stored.Pacing);
            _held = new(Stored.Held);
            if (_ledger.HasLeases)
            {
                KeepTime();
            }
        }

        DropStored(Empty);
    }

    public async Task Configure(TenantDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        RequireAlive();
        if (definition.Id.Value != this.GetPrimaryKeyString())
        {
            throw new ArgumentException($"Tenant '{definition.Id}' is not '{this.GetPrimaryKeyString()}'.", nameof(definition));
        }

        if (_ledger is null)
        {
            _ledger = new(definition, options: LeaseTimes.ForMoney(Clock, options.Value));
        }
        else
        {
            _ledger.Configure(definition, Clock.Now);
        }

        (_definition, _isRemoved) = (definition, false);
        _version++;
        await PersistAsync();
        RaiseAlerts();
    }

    public Task Remove()
    {
        RequireAlive();
        if (_definition is null || _isRemoved)
        {
            return Task.CompletedTask;
        }

        _isRemoved = true;
        _version++;
        return PersistAsync();
    }

    public Task<TenantDefinition?> GetDefinition() => Task.FromResult(_isRemoved ? null : _definition);

    public async Task<TenantLease> Refill(LeaseReport report)
    {
        RequireAlive();
        if (_ledger is null)
        {
            return new();
        }

        KeepTime();

        // A removed tenant gets nothing more, and what it spent before still counts.
        var grant = _ledger.Refill(_isRemoved ? report with { Wanted = 0, AtLeast = 0 } : report, Clock.Now);
        var isShort = grant is { Fenced: false } && !_isRemoved && grant.Granted - report.Settled - report.Returned - report.Pending < report.AtLeast;
        var lease = new TenantLease
        {
            Tenant = _isRemoved ? null : _definition,
            Version = _version,
            Grant = grant,
            Pacing = _pacing.Weight,
            Shortage = isShort ? _ledger.Shortage(Money.FromNanos(report.AtLeast), Clock.Now) : null,
        };
        await PersistAsync();
        RaiseAlerts();
        return lease;
    }

    public async Task<ReservationReply> Reserve(string reservationId, Money amount, long expiresAt)
    {
        RequireAlive();
        if (_ledger is null || _isRemoved)
        {
            return new() { Reason = $"there is no tenant '{this.GetPrimaryKeyString()}'" };
        }

        var reply = _ledger.Reserve(reservationId, amount, expiresAt, Clock.Now);
        if (reply.Granted)
        {
            _held.Remove(reservationId);
        }

        await PersistAsync();
        RaiseAlerts();
        return reply;
    }

    public async Task<EndedReservation?> Settle(string reservationId, Money charge)
    {
        RequireAlive();
        if (_ledger is null)
        {
            return null;
        }

        var outcome = _ledger.Settle(reservationId, charge, Clock.Now);
        _held.Remove(reservationId);
        // Releasing what was never reserved is how an interrupted reservation is made sure of.
        if (outcome == SettleOutcome.Clamped || (outcome == SettleOutcome.Unknown && charge > Money.Zero))
        {
            LogSettlement(this.GetPrimaryKeyString(), reservationId, charge, outcome);
        }

        // Taken now: others may have it forgotten while this is being stored.
        var ended = _ledger.FindEnded(reservationId);
        await PersistAsync();
        RaiseAlerts();
        return ended;
    }

    public async Task<bool> Hold(string reservationId, long until)
    {
        RequireAlive();
        if (_ledger is null || _isRemoved || !_held.TryAdd(reservationId, until, options.Value.MaxHeldJobs, Clock.Now))
        {
            return false;
        }

        await PersistAsync();
        return true;
    }

    public Task<ImmutableArray<BudgetShortage>> GetShortages(ImmutableArray<Money> amounts)
    {
        RequireAlive();
        var now = Clock.Now;
        return Task.FromResult<ImmutableArray<BudgetShortage>>(_ledger is { IsLimited: true } && !_isRemoved ? [.. amounts.Select(amount => _ledger.Shortage(amount, now))] : []);
    }

    public Task<BudgetView> GetBudget()
    {
        RequireAlive();
        return Task.FromResult(_ledger is null
            ? new BudgetView { Tenant = new(this.GetPrimaryKeyString()) }
            : _ledger.GetView(Clock.Now) with { Pacing = _pacing.Weight });
    }

    protected override TenantGrainState Capture() => new()
    {
        Definition = _definition,
        Version = _version,
        IsRemoved = _isRemoved,
        Ledger = _ledger?.ToState(),
        Pacing = _pacing.ToState(),
        Held = _held.ToState(),
    };

    // While leases are out they may run out, and the pace of spending is followed. Everything else that time changes, each
    // call works out before it answers.
    private void KeepTime()
    {
        if (_timer is null)
        {
            // What the time without leases did to the pace, before what is spent now joins in.
            ObservePace(Clock.Now);
            _timer = this.RegisterGrainTimer(_ => TickAsync(), new GrainTimerCreationOptions(ToTimer(TickPeriod), ToTimer(TickPeriod)) { Interleave = true });
        }
    }

    private async Task TickAsync()
    {
        if (HasFailed || _ledger is null)
        {
            return;
        }

        var before = _ledger.Version;
        var now = Clock.Now;
        _ledger.Tick(now);
        ObservePace(now);
        if (_ledger.Version != before)
        {
            await PersistAsync();
        }

        RaiseAlerts();
        if (!_ledger.HasLeases)
        {
            _timer?.Dispose();
            _timer = null;
        }
    }

    private void ObservePace(long now)
    {
        if (_ledger!.IsLimited)
        {
            _pacing.Observe(_ledger.GetView(now), now);
        }
    }

    private void RaiseAlerts()
    {
        foreach (var alert in _ledger!.TakeAlerts())
        {
            LogAlert(alert.Tenant, alert.Percent, alert.Window.Kind, alert.Window.Limit, alert.Counted);
            RouterTelemetry.BudgetReached(alert);
            foreach (var listener in events)
            {
                try
                {
                    listener.Reached(alert);
                }
                catch (Exception exception)
                {
                    LogListenerFailed(exception, alert.Tenant);
                }
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tenant {Tenant} has reached {Percent} % of its {Window} budget of {Limit} $: {Counted} $.")]
    private partial void LogAlert(TenantId tenant, int percent, BudgetWindowKind window, Money limit, Money counted);

    [LoggerMessage(Level = LogLevel.Error, Message = "Tenant {Tenant}: a listener to its budget alerts failed.")]
    private partial void LogListenerFailed(Exception exception, TenantId tenant);

    [LoggerMessage(Level = LogLevel.Error, Message = "Tenant {Tenant}: settling reservation {Reservation} with {Charge} $ came to {Outcome}.")]
    private partial void LogSettlement(string tenant, string reservation, Money charge, SettleOutcome outcome);
}
