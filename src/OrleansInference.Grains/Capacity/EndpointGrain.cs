using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using OrleansInference.Budgets;
using OrleansInference.Hosting;
using OrleansInference.Persistence;
using OrleansInference.Tenants;

namespace OrleansInference.Capacity;

/// <summary>What an endpoint's grain stores.</summary>
public sealed record EndpointGrainState
{
    /// <summary>The configuration; null until there is one.</summary>
    public EndpointConfiguration? Configuration { get; init; }

    /// <summary>Slot leases.</summary>
    public EscrowState? Slots { get; init; }

    /// <summary>Instances wanted, as an earlier version stored it.</summary>
    public CapacityPlanState? Plan { get; init; }

    /// <summary>Instances wanted, and what SageMaker was told.</summary>
    public CapacityKeeperState? Keeper { get; init; }

    /// <summary>What AWS billed and tenants were charged.</summary>
    public CapacityCost Cost { get; init; } = new();

    /// <summary>Jobs handed to the async lane that have not ended.</summary>
    public int Backlog { get; init; }

    /// <summary>Why the wanted instance count last changed.</summary>
    public string LastChange { get; init; } = "";

    /// <summary>How many of the slots are used.</summary>
    public AdaptiveLimitState? Limiter { get; init; }

    /// <summary>How many of them lower classes leave free.</summary>
    public HeadroomState? Headroom { get; init; }

    /// <summary>Slot-milliseconds of the jobs that waited for slots which are free anyway.</summary>
    public long DeferredWorkMs { get; init; }
}

/// <summary>Owns an endpoint's slots, says whose turn it is when they are short, and keeps its instances.</summary>
internal sealed partial class EndpointGrain(
    [PersistentState("endpoint", OrleansInferenceOptions.StorageName)] IPersistentState<EndpointGrainState> storage,
    RouterClock clock,
    IEndpointControl control,
    ILogger<EndpointGrain> logger) : DurableGrain<EndpointGrainState>(storage, clock), IEndpointGrain, IRemindable
{
    private const string Keep = "keep-capacity";
    private const long QuietMs = 900_000;
    private const int MostTenantsShown = 100;
    private static readonly TimeSpan PollPeriod = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RevivePeriod = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, (int Waiting, long At)> _waiting = [];
    private EndpointConfiguration? _configuration;
    private readonly Dictionary<string, ISlotObserver> _observers = new(StringComparer.Ordinal);
    private SlotLedger? _slots;
    private CapacityKeeper? _keeper;
    private readonly DemandSums _heard = new();
    private CapacityCost _cost = new();
    private readonly ModelResidency _residency = new();
    private EndpointStatus? _status;
    private int _backlog;
    private long _heardAt;
    private long _statusVersion;
    private bool _hasTimer;
    private bool _isPolling;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _heardAt = Clock.Now;
        BeginTurns(Stored);
        if (Stored.Configuration is { } configuration)
        {
            _configuration = configuration;
            _slots = NewSlots(LeaseTimes.ForSlots(Clock, configuration.Endpoint.MaxServiceSeconds), Stored);
            _keeper = new(control, Clock, logger, Stored.Keeper ?? new() { Plan = Stored.Plan, LastChange = Stored.LastChange });
            (_cost, _backlog) = (Stored.Cost, Stored.Backlog);
            Begin();
        }

        return Task.CompletedTask;
    }

    public async Task Configure(EndpointConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        RequireAlive();
        if (configuration.Endpoint.Name.Value != this.GetPrimaryKeyString())
        {
            throw new ArgumentException($"Endpoint '{configuration.Endpoint.Name}' is not '{this.GetPrimaryKeyString()}'.", nameof(configuration));
        }

        var now = Clock.Now;
        var times = LeaseTimes.ForSlots(Clock, configuration.Endpoint.MaxServiceSeconds);

        // Calls that were sent under a longer limit may still run.
        _slots ??= NewSlots(times, new());
        _keeper ??= new(control, Clock, logger);
        _slots.Escrow.Options = times with { LongestCallMs = Math.Max(times.LongestCallMs, _slots.Escrow.Options.LongestCallMs) };
        _cost = _cost.Advance(now, InService).Reprice(configuration.Endpoint.Lane == Lane.Serverless ? configuration.ProvisionedSecondCost : configuration.InstanceSecondCost);
        _configuration = configuration;
        await PersistAsync();
        if (IsManaged)
        {
            await this.RegisterOrUpdateReminder(Keep, RevivePeriod, RevivePeriod);
        }

        Begin();
        await PollAsync();
    }

    public async Task<LeaseGrant?> Refill(LeaseReport report, EndpointDemand demand)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(demand);
        RequireAlive();
        if (_configuration is null || _slots is null)
        {
            DeactivateOnIdle();
            return null;
        }

        var now = Clock.Now;
        Hear(report.Holder, demand, now);
        if (demand.Queue?.Observer is { } observer)
        {
            _observers[report.Holder] = observer;
        }

        SetCapacity();
        var grant = _slots.Report(report, demand, now);
        await SaveSlotsAsync(now);
        GiveTurns();
        if (demand.Waiting > 0 && Slots == 0)
        {
            // Somebody waits for an endpoint at rest: no need to wait for the beat.
            await DecideAsync();
        }

        return grant;
    }

    public Task Book(string bookingId, Money cost, Money charged, int predictions)
    {
        ArgumentException.ThrowIfNullOrEmpty(bookingId);
        RequireAlive();
        _cost = _cost.Book(bookingId, cost, charged, predictions);
        return PersistAsync();
    }

    public Task<EndpointView?> GetView()
    {
        RequireAlive();
        if (_configuration is null || _slots is null)
        {
            DeactivateOnIdle();
            return Task.FromResult<EndpointView?>(null);
        }

        var now = Clock.Now;
        SetCapacity();
        _slots.Tick(now);
        _cost = _cost.Advance(now, InService);
        return Task.FromResult<EndpointView?>(new()
        {
            Configuration = _configuration,
            Status = CurrentStatus(now),
            Leases = _slots.Escrow.Leases.GroupBy(lease => lease.Holder).ToImmutableDictionary(group => group.Key, group => group.Sum(lease => lease.Outstanding)),
            LastChange = _keeper!.LastChange,
            Cost = _cost.Total,
            Charged = _cost.Charged,
            Predictions = _cost.Predictions,
            CostPerPrediction = _cost.Predictions == 0 ? null : Money.FromNanos((_cost.Total.Nanos + _cost.Predictions - 1) / _cost.Predictions),
            Slots = _configuration.Endpoint.Lane is Lane.Realtime or Lane.Serverless ? ViewSlots() : null,
            Capacity = IsManaged ? _keeper.ToView(_configuration.Endpoint) : null,
        });
    }

    public Task ReceiveReminder(string reminderName, TickStatus status) => Task.CompletedTask;

    protected override EndpointGrainState Capture() => new()
    {
        Configuration = _configuration,
        Slots = _slots?.Escrow.ToState(),
        Keeper = _keeper?.ToState(),
        Cost = _cost,
        Backlog = _backlog,
        LastChange = _keeper?.LastChange ?? "",
        Limiter = _slots?.Demand.ToLimiterState(),
        Headroom = _slots?.Demand.ToHeadroomState(),
        DeferredWorkMs = DeferredWorkMs(Clock.Now),
    };

    /// <summary>Whether there is a SageMaker endpoint with instances to keep.</summary>
    private bool IsManaged => _configuration is { } configuration && CapacityKeeper.IsManaged(configuration.Endpoint);

    private int InService => IsManaged ? _keeper!.InService : 0;

    private int Slots => _configuration?.Endpoint is not { } endpoint ? 0 : endpoint.Lane switch
    {
        Lane.Serverless => _keeper!.IsMissing ? 0 : endpoint.MaxInstances,
        Lane.Batch => endpoint.MaxInstances * endpoint.ConcurrencyPerInstance,
        _ => InService * endpoint.ConcurrencyPerInstance,
    };

    private int InFlight => (int)Math.Min(int.MaxValue, _slots?.InFlight ?? 0);

    private long LeaseMs => _slots!.Escrow.Options.LeaseMs;

    private SlotLedger NewSlots(EscrowOptions options, EndpointGrainState stored) =>
        new(options, Math.Max(1, Clock.Now), stored.Slots, stored.Limiter, stored.Headroom);

    private void SetCapacity()
    {
        var endpoint = _configuration!.Endpoint;
        _slots!.SetCapacity(Slots, endpoint.Lane == Lane.Realtime, endpoint.Prior.ServiceP50Seconds * 1000, endpoint.Draining);
        _slots.UrgentWaitMs = _heard.UrgentWaitMs;

        // A start is taken to be half as long again at the most, as where its tail is not configured.
        _slots.Coming = endpoint.Lane == Lane.Realtime && _keeper!.MoreAt > 0
            ? (Math.Max(0, _keeper.Reported - InService) * endpoint.ConcurrencyPerInstance, _keeper.MoreAt, _keeper.MoreAt + (long)(endpoint.Prior.ColdStartSeconds * 500))
            : default;
    }

    /// <summary>Makes durable who has which slots, and then tells the silos that have not asked.</summary>
    private async Task SaveSlotsAsync(long now)
    {
        var notices = _slots!.TakeNotices(now);
        await PersistAsync();
        foreach (var (holder, grant) in notices)
        {
            if (_observers.TryGetValue(holder, out var observer))
            {
                // One that is lost is told again with the silo's next report.
                _ = observer.OnGrant(_configuration!.Endpoint.Name, grant);
            }
        }
    }

    private int Waiting(long now)
    {
        var since = now - LeaseMs;
        var sum = 0;
        foreach (var (waiting, at) in _waiting.Values)
        {
            sum += at >= since ? waiting : 0;
        }

        return sum + _backlog;
    }

    private void Hear(string holder, EndpointDemand demand, long now)
    {
        if (!demand.Used.IsDefaultOrEmpty && _configuration!.Endpoint.LoadedModels > 0)
        {
            _residency.Merge(demand.Used);
        }

        foreach (var silent in _waiting.Where(entry => entry.Value.At < now - LeaseMs).Select(entry => entry.Key).ToArray())
        {
            _waiting.Remove(silent);
        }

        _waiting[holder] = (demand.Waiting, now);

        // Where nothing can be had elsewhere, what silos take for spilled over is none.
        _heard.Hear(_configuration!.SpillRatio > 0 ? demand : demand with { Spilled = new() });
        _cost = _cost.Add(demand.UseCost, demand.Charged, demand.Predictions);
        if (_configuration!.Endpoint.Lane == Lane.Async && demand.Arrivals + demand.Completions > 0)
        {
            _backlog = Math.Max(0, _backlog + demand.Arrivals - demand.Completions);
            _heardAt = now;
        }
        else if (_backlog > 0 && now - _heardAt > QuietMs)
        {
            // Ends that were never heard of, from a silo that died, must not keep instances for ever.
            _backlog = 0;
        }
    }

    private void Begin()
    {
        if (!_hasTimer && _configuration is not null)
        {
            _hasTimer = true;
            this.RegisterGrainTimer(
                _ => PollAsync(),
                new GrainTimerCreationOptions(TimeSpan.FromMilliseconds(1), ToTimer(PollPeriod)) { Interleave = true, KeepAlive = IsManaged });
        }
    }

    private async Task PollAsync()
    {
        if (_isPolling || HasFailed || _configuration is not { } configuration)
        {
            return;
        }

        _isPolling = true;
        try
        {
            // Each for itself: what SageMaker refuses must not keep the router from knowing what there is.
            if (configuration.Endpoint.Lane != Lane.Batch)
            {
                await TryAsync(() => _keeper!.DescribeAsync(configuration.Endpoint));
            }

            var now = Clock.Now;
            _cost = _cost.Advance(now, InService);
            SetCapacity();
            _slots!.Tick(now);
            foreach (var gone in _observers.Keys.Where(holder => !_slots.Knows(holder)).ToArray())
            {
                _observers.Remove(gone);
            }

            await TryAsync(() => SaveSlotsAsync(now));
            RecallTurns(now);
            GiveTurns(isPoll: true);
            await TryAsync(DecideAsync);
            await TryAsync(() => TellModelAsync(Clock.Now));
        }
        finally
        {
            _isPolling = false;
        }
    }

    private async Task TryAsync(Func<Task> step)
    {
        if (HasFailed)
        {
            return;
        }

        try
        {
            await step();
        }
        catch (Exception exception)
        {
            LogPollFailed(exception, _configuration!.Endpoint.Name);
        }
    }

    private async Task DecideAsync()
    {
        var now = Clock.Now;
        var waiting = Waiting(now);
        var isChanged = await _keeper!.DecideAsync(
            _configuration!.Endpoint,
            _heard.Take(
                new()
                {
                    Now = now,
                    InFlight = InFlight - (int)_slots!.DeferredInFlight,
                    Waiting = waiting,
                    WaitingWorkMs = _slots.WaitingWorkMs,
                    Deferrable = Math.Min(waiting, _slots.Waiting[(int)TrafficClass.Low]),
                    DeferredSlots = _turns.SlotsNeeded(now, DeferredMarginMs),
                    DeferredIsDue = _turns.IsDue(now, DeferredMarginMs),
                    SpillRatio = _configuration.SpillRatio,
                    SpillSlots = _configuration.SpillSlots,
                },
                tellsApart: _configuration.Endpoint.Lane != Lane.Serverless),
            PersistAsync);
        if (isChanged)
        {
            SetCapacity();
            await TellModelAsync(now);
        }
    }

    private SlotsView ViewSlots()
    {
        var waiting = _slots!.Waiting;
        return new()
        {
            Offered = Slots,
            Limit = _slots.Limit,
            LimitReason = _slots.Demand.LimitReason,
            Headroom = _slots.Headroom,
            Leased = _slots.Escrow.Outstanding,
            InUse = _slots.InFlight,
            ServiceSeconds = _slots.Demand.ServiceMs / 1000,
            Waiting = Enum.GetValues<TrafficClass>().ToImmutableDictionary(static each => each, each => waiting[(int)each]),
            WaitingByTenant = [.. _slots.WaitingByTenant.OrderByDescending(static waiting => waiting.Total).Take(MostTenantsShown)],
            OpenBreakers = [.. _slots.OpenBreakers.Order(StringComparer.Ordinal)],
            Deferred = _turns.Waiting,
        };
    }

    private EndpointStatus CurrentStatus(long now) => new()
    {
        Endpoint = _configuration!.Endpoint.Name,
        InService = InService,
        Desired = _keeper!.Reported,
        Slots = _configuration.Endpoint.Lane is Lane.Realtime or Lane.Serverless ? _slots!.Limit : Slots,
        MeanHigh = _slots!.Demand.MeanHigh,
        MeanMedium = _slots.Demand.MeanMedium,
        Headroom = _configuration.Endpoint.Lane == Lane.Realtime && _slots!.Demand.HasSeenHigh ? _slots.Headroom : null,
        InFlight = InFlight,
        Healthy = _keeper.IsHealthy,
        Backlog = Waiting(now),
        MoreAt = _keeper.MoreAt,
        Version = _statusVersion,
        Loaded = LoadedModels(),
        DeferredWorkMs = TakesDeferred ? DeferredWorkMs(now) : null,
    };

    private ImmutableArray<ModelUsed> LoadedModels()
    {
        if (_configuration!.Endpoint.LoadedModels == 0)
        {
            return [];
        }

        _residency.Capacity = _configuration.Endpoint.LoadedModels;
        return _residency.Loaded();
    }

    private Task TellModelAsync(long now)
    {
        // The time makes versions count up across activations.
        _statusVersion = Math.Max(_statusVersion + 1, now);
        _status = CurrentStatus(now);
        return _configuration!.Models.IsDefaultOrEmpty
            ? GrainFactory.GetGrain<IModelGrain>(_configuration.Model.Value).SetStatus(_status)
            : Task.WhenAll(_configuration.Models.Select(model => GrainFactory.GetGrain<IModelGrain>(model.Value).SetStatus(_status)));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Endpoint {Endpoint} could not be described or scaled; it is tried again.")]
    private partial void LogPollFailed(Exception exception, EndpointName endpoint);
}
