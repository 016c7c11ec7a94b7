using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;
using OrleansInference.Latency;
using OrleansInference.Persistence;

namespace OrleansInference.Routing;

/// <summary>What a model's grain stores.</summary>
public sealed record ModelGrainState
{
    /// <summary>The configuration; null until there is one.</summary>
    public ModelConfiguration? Configuration { get; init; }

    /// <summary>Version of the last snapshot at the time of writing.</summary>
    public long Version { get; init; }

    /// <summary>Capacity by endpoint as last heard.</summary>
    public ImmutableArray<EndpointStatus> Status { get; init; } = [];

    /// <summary>The recent past of the latency statistics; written now and then.</summary>
    public ImmutableArray<SketchDelta> Latency { get; init; } = [];

    /// <summary>By silo the last report in <see cref="Latency"/>.</summary>
    public ImmutableDictionary<string, long> Reported { get; init; } = ImmutableDictionary<string, long>.Empty;
}

/// <summary>Owns a model's configuration and latency statistics, and publishes routing snapshots to the silos that route it.</summary>
internal sealed partial class ModelGrain(
    [PersistentState("model", OrleansInferenceOptions.StorageName)] IPersistentState<ModelGrainState> storage,
    RouterClock clock,
    ILogger<ModelGrain> logger) : DurableGrain<ModelGrainState>(storage, clock), IModelGrain
{
    /// <summary>How long a silo that does not renew is still told, in router time.</summary>
    public static readonly TimeSpan SubscriptionLife = TimeSpan.FromSeconds(60);

    private const int MaxSubscribers = 4096;
    private const long HeardMs = 600_000;
    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SavePeriod = TimeSpan.FromMinutes(1);

    private readonly Dictionary<string, (IRoutingObserver Observer, long Until)> _subscribers = [];
    private readonly Dictionary<EndpointName, EndpointStatus> _status = [];
    private readonly string _activation = Guid.NewGuid().ToString("n");
    private LatencyStatistics _latency = new();
    private ModelConfiguration? _configuration;
    private RoutingSnapshot? _snapshot;
    private long _version;
    private long _savedAt;
    private bool _isStale;
    private bool _isUnsaved;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _version = Stored.Version;
        _savedAt = Clock.Now;
        if (Stored.Configuration is { Model: not null } configuration)
        {
            _configuration = configuration;
            foreach (var status in Stored.Status)
            {
                _status[status.Endpoint] = status;
            }

            Restore();
            Begin();
        }

        return Task.CompletedTask;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_isUnsaved && !HasFailed)
        {
            try
            {
                await PersistAsync().WaitAsync(cancellationToken);
            }
            catch (Exception exception)
            {
                // The silos hold the last snapshot and offer it to the next activation.
                LogNotSaved(exception, this.GetPrimaryKeyString());
            }
        }
    }

    public async Task Configure(ModelConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        RequireAlive();
        if (configuration.Model is { } model && model.Name.Value != this.GetPrimaryKeyString())
        {
            throw new ArgumentException($"Model '{model.Name}' is not '{this.GetPrimaryKeyString()}'.", nameof(configuration));
        }

        if (configuration.Model is null && _configuration is null)
        {
            return;
        }

        var isNew = _configuration is null;
        _configuration = configuration.Model is null ? null : configuration;
        var names = Names();
        foreach (var gone in _status.Keys.Where(name => !names.Contains(name)).ToArray())
        {
            _status.Remove(gone);
        }

        if (configuration.Model is { } kept)
        {
            _latency.Retain(kept);
        }
        else
        {
            _latency = new();
        }

        Refresh();
        await PersistAsync();
        if (isNew)
        {
            Begin();
        }

        Publish();
    }

    public Task<RoutingSnapshot?> Subscribe(string holder, IRoutingObserver observer, long knownVersion)
    {
        ArgumentException.ThrowIfNullOrEmpty(holder);
        ArgumentNullException.ThrowIfNull(observer);
        RequireAlive();
        if (_snapshot is null)
        {
            // Anybody may ask for a name that does not exist.
            DeactivateOnIdle();
            return Task.FromResult<RoutingSnapshot?>(null);
        }

        if (_subscribers.ContainsKey(holder) || _subscribers.Count < MaxSubscribers)
        {
            _subscribers[holder] = (observer, Clock.Now + (long)SubscriptionLife.TotalMilliseconds);
        }

        return Task.FromResult(_snapshot.Version == knownVersion ? null : _snapshot);
    }

    public Task Report(LatencyReport report)
    {
        RequireAlive();
        if (_configuration?.Model is { } model)
        {
            var names = Names();
            var known = report with { Deltas = [.. report.Deltas.Where(delta => names.Contains(delta.Endpoint))] };
            if (_latency.Merge(known, Clock.Now))
            {
                _isStale = _isUnsaved = true;
            }
        }

        return Task.CompletedTask;
    }

    public Task Recover(LatencyRecovery recovery)
    {
        ArgumentNullException.ThrowIfNull(recovery);
        RequireAlive();
        if (_configuration?.Model is { } model && _latency.Recover(recovery, Clock.Now))
        {
            _latency.Retain(model);
            _isStale = _isUnsaved = true;
        }

        return Task.CompletedTask;
    }

    public Task SetStatus(EndpointStatus status)
    {
        ArgumentNullException.ThrowIfNull(status);
        RequireAlive();
        if (_configuration is null || !Names().Contains(status.Endpoint))
        {
            return Task.CompletedTask;
        }

        var before = _status.GetValueOrDefault(status.Endpoint);
        if (before is not null && before.Version > status.Version)
        {
            return Task.CompletedTask;
        }

        _status[status.Endpoint] = status;
        if (before is null || (before.Slots, before.InService, before.Desired, before.Healthy) != (status.Slots, status.InService, status.Desired, status.Healthy))
        {
            // Capacity came or went: silos should know at once. Counters of load can wait for the beat.
            Refresh();
            Publish();
            _isUnsaved = true;
        }
        else
        {
            _isStale |= (before.InFlight, before.Backlog, before.MoreAt, before.DeferredWorkMs) != (status.InFlight, status.Backlog, status.MoreAt, status.DeferredWorkMs) || !before.Loaded.SequenceEqual(status.Loaded);
        }

        return Task.CompletedTask;
    }

    public Task<ModelStatistics?> GetStatistics() => Task.FromResult(_configuration?.Model is not { } model ? null : new ModelStatistics
    {
        Model = model.Name,
        Version = _version,
        Latency = _latency.Views(model, Clock.Now),
        Endpoints = [.. _status.Values],
    });

    protected override ModelGrainState Capture() => new()
    {
        Configuration = _configuration,
        Version = _version,
        Status = [.. _status.Values],
        Latency = _configuration is null ? [] : _latency.Publish(Clock.Now),
        Reported = _latency.Reported(Clock.Now - HeardMs),
    };

    private HashSet<EndpointName> Names() => _configuration?.Model is { } model
        ? [.. model.Variants.SelectMany(variant => variant.Endpoints).SelectMany(static endpoint => (EndpointName[])[endpoint.Name, endpoint.SlotsName])]
        : [];

    private void Restore()
    {
        try
        {
            _latency = new(new() { Version = Stored.Version, Latency = Stored.Latency, Reported = Stored.Reported }, Clock.Now);
        }
        catch (ArgumentException exception)
        {
            // Another release laid the buckets out differently; the priors hold until there are new samples.
            _latency = new(new() { Version = Stored.Version }, Clock.Now);
            LogNotRestored(exception, this.GetPrimaryKeyString());
        }

        Refresh();
    }

    // The version is at least the time, so that it counts up through the loss of versions that were never stored.
    private void Refresh()
    {
        _version = Math.Max(_version + 1, Clock.Now);
        _isStale = false;
        _snapshot = _configuration?.Model is not { } model ? null : new()
        {
            Model = model,
            Version = _version,
            InstanceSecondCosts = _configuration.InstanceSecondCosts,
            Status = [.. _status.Values],
            Latency = _latency.Publish(Clock.Now),
            Deadlines = _configuration.Deadlines,
            TargetProbability = _configuration.TargetProbability,
            ServerlessPerGigabyteTransferred = _configuration.ServerlessPerGigabyteTransferred,
            Activation = _activation,
            Reported = _latency.Reported(Clock.Now - HeardMs),
        };
    }

    private void Publish()
    {
        var name = new ModelName(this.GetPrimaryKeyString());
        foreach (var (_, (observer, _)) in _subscribers)
        {
            _ = observer.OnSnapshot(name, _snapshot);
        }

        if (_snapshot is null)
        {
            _subscribers.Clear();
        }
    }

    private void Begin() => this.RegisterGrainTimer(
        async _ =>
        {
            if (HasFailed || _configuration is null)
            {
                return;
            }

            var now = Clock.Now;
            foreach (var silent in _subscribers.Where(entry => entry.Value.Until < now).Select(entry => entry.Key).ToArray())
            {
                _subscribers.Remove(silent);
            }

            if (_isStale)
            {
                Refresh();
                Publish();
            }

            if (_isUnsaved && now - _savedAt >= SavePeriod.TotalMilliseconds)
            {
                (_isUnsaved, _savedAt) = (false, now);
                await PersistAsync();
            }
        },
        new GrainTimerCreationOptions(ToTimer(Beat), ToTimer(Beat)) { Interleave = true });

    [LoggerMessage(Level = LogLevel.Warning, Message = "The latency statistics of model {Model} could not be stored.")]
    private partial void LogNotSaved(Exception exception, string model);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Stored latency statistics of model {Model} cannot be used.")]
    private partial void LogNotRestored(Exception exception, string model);
}
