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

    /// <summary>Instances wanted.</summary>
    public CapacityPlanState? Plan { get; init; }

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
    private static readonly TimeSpan PollPeriod = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RevivePeriod = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, (int Waiting, long At)> _waiting = [];
    private EndpointConfiguration? _configuration;
    private readonly Dictionary<string, ISlotObserver> _observers = new(StringComparer.Ordinal);
    private SlotLedger? _slots;
    private CapacityPlan _plan = new();
    private EndpointDemand _heard = new();
    private CapacityCost _cost = new();
    private readonly ModelResidency _residency = new();
    private EndpointDescription? _described;
    private EndpointStatus? _status;
    private string _lastChange = "";
    private int _backlog;
    private long _heardAt;
    private long _moreAt;
    private long _statusVersion;
    private bool _hasTimer;
    private bool _isPolling;
    private bool _isMissing;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _heardAt = Clock.Now;
        if (Stored.Configuration is { } configuration)
        {
            _configuration = configuration;
            _slots = NewSlots(LeaseTimes.ForSlots(Clock, configuration.Endpoint.MaxServiceSeconds), Stored);
            _plan = new(Stored.Plan);
            (_cost, _backlog, _lastChange) = (Stored.Cost, Stored.Backlog, Stored.LastChange);
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
        _slots.Escrow.Options = times with { LongestCallMs = Math.Max(times.LongestCallMs, _slots.Escrow.Options.LongestCallMs) };
        _cost = _cost.Advance(now, InService).Reprice(configuration.InstanceSecondCost);
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
            LastChange = _lastChange,
            Cost = _cost.Total,
            Charged = _cost.Charged,
            Predictions = _cost.Predictions,
        });
    }

    public Task ReceiveReminder(string reminderName, TickStatus status) => Task.CompletedTask;

    protected override EndpointGrainState Capture() => new()
    {
        Configuration = _configuration,
        Slots = _slots?.Escrow.ToState(),
        Plan = _plan.ToState(),
        Cost = _cost,
        Backlog = _backlog,
        LastChange = _lastChange,
        Limiter = _slots?.ToLimiterState(),
        Headroom = _slots?.ToHeadroomState(),
    };

    /// <summary>Whether there is a SageMaker endpoint with instances to keep.</summary>
    private bool IsManaged => _configuration?.Endpoint is { Lane: Lane.Realtime or Lane.Async };

    private int InService => IsManaged ? _described?.CurrentInstanceCount ?? 0 : 0;

    private int Slots => _configuration?.Endpoint is not { } endpoint ? 0 : endpoint.Lane switch
    {
        Lane.Serverless => _isMissing ? 0 : endpoint.MaxInstances,
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
        _heard = !IsManaged ? _heard : _heard with
        {
            Arrivals = _heard.Arrivals + demand.Arrivals,
            Completions = _heard.Completions + demand.Completions,
            Throttled = _heard.Throttled + demand.Throttled,
            BusyMilliseconds = _heard.BusyMilliseconds + demand.BusyMilliseconds,
        };
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
            if (configuration.Endpoint.Lane != Lane.Batch)
            {
                await DescribeAsync(configuration.Endpoint);
            }

            var now = Clock.Now;
            _cost = _cost.Advance(now, InService);
            SetCapacity();
            _slots!.Tick(now);
            foreach (var gone in _observers.Keys.Where(holder => !_slots.Knows(holder)).ToArray())
            {
                _observers.Remove(gone);
            }

            await SaveSlotsAsync(now);
            await DecideAsync();
            await TellModelAsync(now);
        }
        catch (Exception exception)
        {
            LogPollFailed(exception, configuration.Endpoint.Name);
        }
        finally
        {
            _isPolling = false;
        }
    }

    private async Task DescribeAsync(EndpointDefinition endpoint)
    {
        using var timeout = new CancellationTokenSource(CallTimeout);
        var described = await control.DescribeAsync(endpoint.TargetName, timeout.Token);
        if (described is null && !_isMissing)
        {
            LogMissing(endpoint.Name, endpoint.TargetName);
        }

        if (described is not null && _plan.IsNew)
        {
            _plan.Begin(described.DesiredInstanceCount);
        }

        _isMissing = described is null;
        if (described is not null && _moreAt != 0 && described.CurrentInstanceCount >= described.DesiredInstanceCount)
        {
            _moreAt = 0;
        }

        _described = described;
    }

    private async Task DecideAsync()
    {
        if (!IsManaged || _described is not { } described || _configuration!.Endpoint is not { Draining: false } endpoint)
        {
            return;
        }

        var now = Clock.Now;
        var decision = _plan.Observe(endpoint, new()
        {
            Now = now,
            InService = described.CurrentInstanceCount,
            Reported = described.DesiredInstanceCount,
            InFlight = InFlight,
            Waiting = Waiting(now),
            Arrivals = _heard.Arrivals,
            Completions = _heard.Completions,
            Throttled = _heard.Throttled,
            BusyMs = _heard.BusyMilliseconds,
        });
        _heard = new();
        if (decision.HasChanged)
        {
            _lastChange = decision.Reason;
            LogDesired(endpoint.Name, decision.Desired, decision.Reason);
            await PersistAsync();
        }

        if (decision.Desired == described.DesiredInstanceCount)
        {
            return;
        }

        using var timeout = new CancellationTokenSource(CallTimeout);
        if (await control.SetDesiredInstancesAsync(endpoint.TargetName, described.VariantName, decision.Desired, timeout.Token))
        {
            _moreAt = decision.Desired > described.CurrentInstanceCount ? now + (long)(endpoint.Prior.ColdStartSeconds * 1000) : 0;
            _described = described with { DesiredInstanceCount = decision.Desired };
            await TellModelAsync(now);
        }
    }

    private EndpointStatus CurrentStatus(long now) => new()
    {
        Endpoint = _configuration!.Endpoint.Name,
        InService = InService,
        Desired = _described?.DesiredInstanceCount ?? 0,
        Slots = _configuration.Endpoint.Lane is Lane.Realtime or Lane.Serverless ? _slots!.Limit : Slots,
        Headroom = _configuration.Endpoint.Lane == Lane.Realtime && _slots!.HasSeenCalls ? _slots.Headroom : null,
        InFlight = InFlight,
        Healthy = !_isMissing && _described?.Status is not ("Failed" or "Deleting" or "OutOfService" or "UpdateRollbackFailed"),
        Backlog = Waiting(now),
        MoreAt = _moreAt,
        Version = _statusVersion,
        Loaded = LoadedModels(),
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

    [LoggerMessage(Level = LogLevel.Information, Message = "Endpoint {Endpoint} should have {Instances} instances: {Reason}.")]
    private partial void LogDesired(EndpointName endpoint, int instances, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Endpoint {Endpoint}: SageMaker has no endpoint '{Target}'; create it, or correct its target in the catalog.")]
    private partial void LogMissing(EndpointName endpoint, string target);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Endpoint {Endpoint} could not be described or scaled; it is tried again.")]
    private partial void LogPollFailed(Exception exception, EndpointName endpoint);
}
