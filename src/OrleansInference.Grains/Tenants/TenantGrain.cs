using System.Collections.Immutable;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Storage;
using OrleansInference.Batch;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Persistence;
using OrleansInference.Telemetry;

namespace OrleansInference.Tenants;

/// <summary>What a tenant's grain stores.</summary>
public sealed record TenantGrainState : IStoredForm
{
    /// <inheritdoc/>
    public int Form { get; init; }

    /// <inheritdoc/>
    int IStoredForm.NewestForm => 0;

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
    [FromKeyedServices(OrleansInferenceOptions.StorageName)] IGrainStorage pageStorage,
    IEnumerable<IBudgetEvents> events,
    IOptions<OrleansInferenceOptions> options,
    ILogger<TenantGrain> logger) : DurableGrain<TenantGrainState>(storage, clock), ITenantGrain
{
    private static readonly TimeSpan TickPeriod = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan StayFor = TimeSpan.FromMinutes(2);
    private static readonly TenantGrainState Empty = new();

    private TenantDefinition? _definition;
    private TenantLedger? _ledger;
    private ReservationPageStore? _pages;
    private IReadOnlyList<ReservationPage> _taken = [];
    private Pacing _pacing = new();
    private IGrainTimer? _timer;
    private IGrainTimer? _service;
    private long _version;
    private bool _isRemoved;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await ReadIfDroppedAsync(Empty);
        RequireKnownForm();
        if (Stored.Definition is { } definition)
        {
            _definition = definition;
            (_version, _isRemoved) = (Stored.Version, Stored.IsRemoved);
            _ledger = new(definition, Stored.Ledger, LeaseTimes.ForMoney(Clock, options.Value), Stored.Held, await Pages.KnowAsync(Stored.Ledger?.Pages ?? 0));
            _pacing = new(Stored.Pacing);
            AwaitService();
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
        await StoreAsync();
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
        await StoreAsync();
        return lease;
    }

    public async Task<ReservationReply> Reserve(string reservationId, Money amount, long expiresAt)
    {
        RequireAlive();
        if (_ledger is null || _isRemoved)
        {
            return new() { Reason = $"there is no tenant '{this.GetPrimaryKeyString()}'" };
        }

        await MakeRoomAsync();
        var reply = _ledger.Reserve(reservationId, amount, expiresAt, Clock.Now);
        await StoreAsync();
        return reply;
    }

    public async Task<EndedReservation?> Settle(string reservationId, Money charge)
    {
        RequireAlive();
        if (_ledger is null)
        {
            return null;
        }

        await MakeRoomAsync();
        var outcome = _ledger.Settle(reservationId, charge, Clock.Now);

        if (outcome == SettleOutcome.Clamped)
        {
            LogClamped(this.GetPrimaryKeyString(), reservationId, charge);
        }
        else if (outcome == SettleOutcome.Unknown && charge > Money.Zero)
        {
            // A reservation is kept until it has ended and for a time after: this end was told before, and is told again after a crash.
            LogForgotten(this.GetPrimaryKeyString(), reservationId, charge);
        }

        // Taken now: others may have it forgotten while this is being stored.
        var ended = _ledger.FindEnded(reservationId);
        await StoreAsync();
        return ended;
    }

    public async Task<HoldReply> Hold(HoldRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        RequireAlive();
        if (_ledger is null || _isRemoved)
        {
            return new() { IsHeld = false };
        }

        var job = new HeldJob(request.ReservationId, request.Deadline, request.Amount.Nanos, request.ExpiresAt, request.Class);
        var before = _ledger.Version;
        var isHeld = _ledger.TryHold(job, options.Value.MaxHeldJobs, Clock.Now);
        var reply = new HoldReply { IsHeld = isHeld, AdmittedAt = _ledger.FindAdmission(job.Id) ?? 0, ExpectedMs = _ledger.ExpectedMs(job, Clock.Now) is { } wait ? Math.Max(1, wait) : 0 };

        // It is told by this answer.
        if (_ledger.Version != before)
        {
            await StoreAsync(told: job.Id);
        }

        return reply;
    }

    public async Task<bool> Hold(string reservationId, long until)
    {
        RequireAlive();
        if (_ledger is null || _isRemoved || !_ledger.TryHold(new(reservationId, until), options.Value.MaxHeldJobs, Clock.Now))
        {
            return false;
        }

        await StoreAsync();
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
        Held = _ledger?.HeldState,
    };

    protected override Task PrepareAsync() => _ledger is null ? Task.CompletedTask : Pages.KnowAsync(_ledger.AllocatedPages);

    // The state that the pages were taken with is durable once the next is being written: now they may be.
    protected override async Task WriteBesideAsync()
    {
        var due = _taken;
        _taken = _ledger is not null && Pages.Known >= _ledger.AllocatedPages ? _ledger.TakePages() : [];
        if (due.Count > 0)
        {
            await Pages.WriteAsync(due);
            _ledger!.PagesStored();
        }
    }

    private ReservationPageStore Pages => _pages ??= new(pageStorage, this.GetGrainId());

    /// <summary>Waits while so much has changed that pages are to be stored first.</summary>
    private async Task MakeRoomAsync()
    {
        while (_ledger!.MustStorePages)
        {
            await PersistAsync();
            RequireAlive();
        }
    }

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
        ServeHeld(now);
        ObservePace(now);
        if (_ledger.Version != before)
        {
            await StoreAsync();
        }
        else
        {
            RaiseAlerts();
        }

        if (!_ledger.HasLeases)
        {
            _timer?.Dispose();
            _timer = null;
        }
    }

    /// <summary>Stores what has changed, then tells the held jobs that have got their money, and waits for the next that will.</summary>
    private async Task StoreAsync(string? told = null)
    {
        var funded = _ledger!.TakeFunded();
        await PersistAsync();
        foreach (var job in funded)
        {
            if (job.Id != told)
            {
                TellAsync(job).Ignore();
            }
        }

        RaiseAlerts();
        AwaitService();
    }

    /// <summary>A word that is lost costs a wait: a held job asks for itself now and then.</summary>
    private async Task TellAsync(FundedJob job)
    {
        try
        {
            // A job's reservation has its key and the time of acceptance for an id.
            await (BatchMachine.TryFindBatch(job.Id, out var batch)
                ? GrainFactory.GetGrain<IBatchGrain>(batch.Key).Funded(job.Id, job.AdmittedAt)
                : GrainFactory.GetGrain<IJobGrain>(job.Id[..job.Id.LastIndexOf('/')]).Funded(job.Id, job.AdmittedAt));
        }
        catch (Exception exception)
        {
            LogNotTold(exception, this.GetPrimaryKeyString(), job.Id);
        }
    }

    /// <summary>Stays in memory while jobs wait for the budget, and looks when the next of them is expected to have its money.</summary>
    private void AwaitService()
    {
        if (_ledger is null || _isRemoved || _ledger.NextServiceAt(Clock.Now) is not { } next)
        {
            _service?.Dispose();
            _service = null;
            return;
        }

        var wait = ToTimer(TimeSpan.FromMilliseconds(Math.Max(1_000, next - Clock.Now)));
        DelayDeactivation(wait + StayFor);
        if (_service is null)
        {
            _service = this.RegisterGrainTimer(_ => ServeAsync(), new GrainTimerCreationOptions(wait, Timeout.InfiniteTimeSpan) { Interleave = true });
        }
        else
        {
            _service.Change(wait, Timeout.InfiniteTimeSpan);
        }
    }

    private async Task ServeAsync()
    {
        if (HasFailed || _ledger is null)
        {
            return;
        }

        var before = _ledger.Version;
        ServeHeld(Clock.Now);
        if (_ledger.Version != before)
        {
            await StoreAsync();
        }
        else
        {
            AwaitService();
        }
    }

    private void ServeHeld(long now)
    {
        if (!_isRemoved)
        {
            _ledger!.ServeHeld(now);
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

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tenant {Tenant}: held job {Reservation} could not be told that it has its money; it asks by itself.")]
    private partial void LogNotTold(Exception exception, string tenant, string reservation);

    [LoggerMessage(Level = LogLevel.Error, Message = "Tenant {Tenant}: a listener to its budget alerts failed.")]
    private partial void LogListenerFailed(Exception exception, TenantId tenant);

    [LoggerMessage(Level = LogLevel.Error, Message = "Tenant {Tenant}: reservation {Reservation} was to be settled with {Charge} $, more than it holds; what it holds was booked.")]
    private partial void LogClamped(string tenant, string reservation, Money charge);

    [LoggerMessage(Level = LogLevel.Information, Message = "Tenant {Tenant}: reservation {Reservation}, settled with {Charge} $, has ended long enough ago to be forgotten; nothing changed.")]
    private partial void LogForgotten(string tenant, string reservation, Money charge);
}
