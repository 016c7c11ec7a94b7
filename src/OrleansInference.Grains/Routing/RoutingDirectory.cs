using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;
using OrleansInference.Latency;
using OrleansInference.Leases;

namespace OrleansInference.Routing;

/// <summary>
/// The routing tables that this silo uses: it subscribes to a model at its first request, renews at a beat, and swaps a
/// table whole when a snapshot comes. Names that do not exist are remembered briefly and only so many.
/// </summary>
internal sealed partial class RoutingDirectory(
    IGrainFactory grains,
    EndpointAccounts endpoints,
    LeaseHolderIdentity holder,
    LatencyRecorder recorder,
    RouterClock clock,
    ILogger<RoutingDirectory> logger) : IRoutingObserver
{
    private const int MaxUnknown = 10_000;
    private const long UnknownMs = 2_000;
    private const long RenewMs = 5_000;
    private const long UnusedMs = 600_000;

    private readonly ConcurrentDictionary<ModelName, Entry> _models = new();
    private readonly ConcurrentDictionary<ModelName, long> _unknown = new();
    private readonly Lock _creating = new();
    private IRoutingObserver? _reference;
    private long _sequence;

    /// <summary>The model's routes; null if there is no such model.</summary>
    public ValueTask<ModelRoutes?> GetAsync(ModelName model, long now)
    {
        if (_models.TryGetValue(model, out var entry) && entry.Routes is { } routes)
        {
            entry.Used(now);
            return new(routes);
        }

        return _unknown.TryGetValue(model, out var until) && now < until ? default : LoadAsync(model);
    }

    /// <summary>Something of the model was measured on this silo, which is reported as long as the silo knows the model, whether or not it routes any request to it.</summary>
    public void Attend(ModelName model)
    {
        if (_models.TryGetValue(model, out var entry))
        {
            entry.Used(clock.Now);
        }
        else
        {
            // Outside of the grain that has measured. Should it fail, the next measurement tries again, and nothing is lost meanwhile.
            Task.Run(() => GetAsync(model, clock.Now).AsTask()).Ignore();
        }
    }

    /// <inheritdoc/>
    public Task OnSnapshot(ModelName model, RoutingSnapshot? snapshot)
    {
        if (_models.TryGetValue(model, out var entry))
        {
            Take(model, entry, snapshot, isAnswer: false);
        }

        return Task.CompletedTask;
    }

    /// <summary>Renews subscriptions and reports what was measured.</summary>
    public Task BeatAsync()
    {
        var now = clock.Now;
        foreach (var (model, until) in _unknown)
        {
            if (until <= now)
            {
                _unknown.TryRemove(model, out _);
            }
        }

        List<Task> beats = [];
        foreach (var (model, entry) in _models)
        {
            if (now - entry.UsedAt > UnusedMs)
            {
                _models.TryRemove(model, out _);
                continue;
            }

            beats.Add(entry.Beat is { IsCompleted: false } ? Task.CompletedTask : entry.Beat = BeatAsync(model, entry, now));
        }

        return Task.WhenAll(beats);
    }

    private async Task BeatAsync(ModelName model, Entry entry, long now)
    {
        try
        {
            if (entry.Routes is not null)
            {
                await ReportAsync(model, entry);
            }

            // Each beat, so that a change whose push was lost is in force within two seconds all the same. Now and then for the whole: an
            // answer without a snapshot does not tell a model that is as it was from one that is gone.
            var isForWhole = now - entry.RenewedAt >= RenewMs || now < entry.RenewedAt;
            await SubscribeAsync(model, entry, isForWhole ? 0 : entry.Routes?.Table.Version ?? 0);
        }
        catch (Exception exception)
        {
            // The table in hand serves on, and what was measured is told with the next beat.
            LogBeatFailed(exception, model);
        }
    }

    private async Task ReportAsync(ModelName model, Entry entry)
    {
        var grain = grains.GetGrain<IModelGrain>(model.Value);
        var deltas = recorder.Drain(entry.Endpoints);
        if (!deltas.IsEmpty)
        {
            entry.Reports.Add(new() { Holder = holder.Name, Sequence = Interlocked.Increment(ref _sequence), Deltas = deltas });
        }

        if (entry.Reports.Recovery is { } recovery)
        {
            await grain.Recover(recovery);
            entry.Reports.Recovered(recovery);
        }

        foreach (var report in entry.Reports.ToSend())
        {
            await grain.Report(report);
            entry.Reports.Sent(report);
        }
    }

    private async ValueTask<ModelRoutes?> LoadAsync(ModelName model)
    {
        var entry = _models.GetOrAdd(model, static (_, holder) => new(holder), holder.Name);
        entry.Used(clock.Now);
        Task loading;
        lock (entry)
        {
            loading = entry.Loading ??= LoadOnceAsync(model, entry);
        }

        await loading;
        return entry.Routes;
    }

    private async Task LoadOnceAsync(ModelName model, Entry entry)
    {
        await Task.Yield();
        try
        {
            await SubscribeAsync(model, entry, 0);
            if (entry.Routes is null && _unknown.Count < MaxUnknown)
            {
                _unknown[model] = clock.Now + UnknownMs;
            }
        }
        finally
        {
            lock (entry)
            {
                entry.Loading = null;
            }

            if (entry.Routes is null)
            {
                _models.TryRemove(KeyValuePair.Create(model, entry));
            }
        }
    }

    private async Task SubscribeAsync(ModelName model, Entry entry, long knownVersion)
    {
        var snapshot = await grains.GetGrain<IModelGrain>(model.Value).Subscribe(holder.Name, Reference(), knownVersion);
        if (knownVersion != 0 && snapshot is null)
        {
            return;
        }

        entry.RenewedAt = clock.Now;
        Take(model, entry, snapshot, isAnswer: true);
    }

    private void Take(ModelName model, Entry entry, RoutingSnapshot? snapshot, bool isAnswer)
    {
        if (snapshot is null)
        {
            var last = entry.Routes;
            entry.Set(null);
            _models.TryRemove(KeyValuePair.Create(model, entry));
            TurnAway(last, null);
            return;
        }

        lock (entry)
        {
            // A snapshot may be overtaken by a newer one. Only the answer of another activation may count from below: what the earlier one made has not happened.
            if (entry.Routes?.Table is { } table && (snapshot.Version == table.Version || (snapshot.Version < table.Version && (!isAnswer || snapshot.Activation == table.Snapshot.Activation))))
            {
                return;
            }

            var former = entry.Routes;
            entry.Reports.Took(snapshot, former?.Table.Snapshot);
            entry.Set(new(RoutingTable.Build(snapshot), endpoints));
            TurnAway(former, entry.Routes);
        }
    }

    /// <summary>Those who wait for an endpoint that is gone go on to what there is now. One that is shared may have other users.</summary>
    private static void TurnAway(ModelRoutes? former, ModelRoutes? present)
    {
        foreach (var candidate in former?.Table.Candidates ?? [])
        {
            if (candidate.Endpoint.Shared is null && present?.Table.Candidates.Any(other => other.Endpoint.Name == candidate.Endpoint.Name) is not true)
            {
                former!.AccountOf(candidate).TurnAway();
            }
        }
    }

    // Kept in a field: the runtime holds the observer itself weakly, and this object is what it holds.
    private IRoutingObserver Reference()
    {
        lock (_creating)
        {
            return _reference ??= grains.CreateObjectReference<IRoutingObserver>(this);
        }
    }

    private sealed class Entry(string holder)
    {
        private const long UsedMs = 500;
        private volatile ModelRoutes? _routes;
        private volatile EndpointName[] _endpoints = [];

        public UnmergedReports Reports { get; } = new(holder);

        public Task? Loading { get; set; }

        public Task? Beat { get; set; }

        public ModelRoutes? Routes => _routes;

        public EndpointName[] Endpoints => _endpoints;

        public long UsedAt { get; private set; }

        public long RenewedAt { get; set; }

        public void Used(long now)
        {
            // Seldom enough that the cores do not take the line from each other at every request.
            if (now - UsedAt > UsedMs)
            {
                UsedAt = now;
            }
        }

        public void Set(ModelRoutes? routes)
        {
            _endpoints = routes is null ? [] : [.. routes.Table.Candidates.Select(candidate => candidate.Endpoint.Name)];
            _routes = routes;
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The beat of model {Model} failed; the next one tries again.")]
    private partial void LogBeatFailed(Exception exception, ModelName model);
}
