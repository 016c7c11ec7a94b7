using System.Collections.Immutable;
using System.Diagnostics;

namespace OrleansInference.Demo;

/// <summary>The demo against a server that runs: issue keys, warm up, replay, await jobs, add up.</summary>
internal sealed class DemoRun : IDisposable
{
    private static readonly TimeSpan WarmUpAtMost = TimeSpan.FromSeconds(50);
    private static readonly TimeSpan PollEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan SettleAtMost = TimeSpan.FromSeconds(30);

    private readonly DemoOptions _options;
    private readonly CatalogDefinition _catalog;
    private readonly DemoView _view;
    private readonly DemoClient _client;
    private readonly RealtimeBaseline _baseline;
    private readonly DemoScore _score;
    private readonly JobFollower _jobs;
    private readonly DemoMeter _meter;
    private ImmutableDictionary<TenantId, IssuedKey> _keys = ImmutableDictionary<TenantId, IssuedKey>.Empty;

    public DemoRun(DemoOptions options, CatalogDefinition catalog, Uri frontDoor, string adminKey, DemoView view)
    {
        _options = options;
        _catalog = catalog;
        _view = view;
        _client = new(frontDoor, adminKey);
        _baseline = new(catalog);
        _score = new(_baseline);
        _jobs = new(_client, _score, KeyOf);
        _meter = new(_client, _score, catalog, _baseline, KeyOf, options.Speed);
    }

    /// <summary>The key pair issued to a tenant.</summary>
    public IssuedKey Key(TenantId tenant) => _keys[tenant];

    /// <summary>Runs the demo to its summary; false if its figures do not add up.</summary>
    public async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        var requests = TraceReader.Read(TraceReader.BundledFolder, TimeSpan.FromMinutes(_options.Minutes)).Select(TrafficMix.Assign).ToArray();
        foreach (var tenant in _catalog.Tenants)
        {
            _keys = _keys.Add(tenant.Id, await _client.IssueKeyAsync(tenant.Id, cancellationToken));
        }

        await _meter.BeginAsync(cancellationToken);
        await WarmUpAsync(cancellationToken);
        await _meter.BeginReplayAsync(cancellationToken);
        var span = requests[^1].Offset / _options.Speed;
        _view.Say($"Replaying {requests.Length:N0} requests, the first {_options.Minutes:0.#} minutes of the Azure LLM trace, at {_options.Speed:0.#}× life: {span.TotalSeconds:0} s. The request that was routed first counts with them; latencies are in the trace's time.");
        var replay = new Replay(_client, _score, _jobs, KeyOf, _options.Speed);
        await _view.ShowAsync(replay.RunAsync(requests, cancellationToken), () => Progress(replay, span), _meter.ReadAsync, cancellationToken);
        if (_score.Read().Pending.Sum() > 0)
        {
            await _view.ShowAsync(_jobs.DrainAsync(cancellationToken), () => new("waiting for the jobs that were accepted", 1, null), _meter.ReadAsync, cancellationToken);
        }

        await _jobs.DrainAsync(cancellationToken);
        return await SummariseAsync(replay, await _meter.ReadAsync(cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _jobs.Dispose();
        _client.Dispose();
    }

    private string KeyOf(TenantId tenant) => _keys[tenant].ApiKey;

    private static DemoProgress Progress(Replay replay, TimeSpan span)
    {
        var left = span - replay.Elapsed;
        return left > TimeSpan.Zero
            ? new("replaying", replay.Elapsed / span, left)
            : new("waiting for the last answers", 1, null);
    }

    /// <summary>
    /// Capacity starts as it does on AWS: real-time instances that the operator wants kept are started by the endpoints'
    /// grains and take minutes. Serverless needs none, so the first request is routed at once.
    /// </summary>
    private async Task WarmUpAsync(CancellationToken cancellationToken)
    {
        var watch = Stopwatch.StartNew();
        await FirstRequestAsync(watch, cancellationToken);
        var endpoints = _catalog.Models.SelectMany(model => model.Variants).SelectMany(variant => variant.Endpoints)
            .Where(endpoint => endpoint.Lane == Lane.Realtime && endpoint.MinInstances > 0)
            .ToArray();
        var said = "";
        while (watch.Elapsed < WarmUpAtMost)
        {
            var states = new List<string>();
            var warm = 0;
            foreach (var endpoint in endpoints)
            {
                var status = (await _client.GetEndpointAsync(endpoint.Name, cancellationToken)).Status;
                warm += status.InService >= endpoint.MinInstances ? 1 : 0;
                states.Add($"{endpoint.Name} {status.InService} of {Math.Max(status.Desired, endpoint.MinInstances)}");
            }

            var now = string.Join(", ", states);
            if (now != said)
            {
                _view.Say($"Warming up ({watch.Elapsed.TotalSeconds:0} s): instances in service: {now}.");
                said = now;
            }

            if (warm == endpoints.Length)
            {
                return;
            }

            await Task.Delay(PollEvery, cancellationToken);
        }

        _view.Say("Some instances are still starting; the replay begins all the same, and what cannot be served in time is refused.");
    }

    private async Task FirstRequestAsync(Stopwatch watch, CancellationToken cancellationToken)
    {
        var request = new DemoRequest(TimeSpan.Zero, DemoCatalog.Lumen, DemoCatalog.EmbedSmall, TrafficClass.High, 12, 1, 1);
        while (watch.Elapsed < WarmUpAtMost)
        {
            var answer = await _client.InvokeAsync(KeyOf(request.Tenant), request, cancellationToken);
            if (answer.Problem is null)
            {
                _score.Sent(request.Class);
                _score.Answered(request, answer.Lane!.Value, answer.Charge, watch.Elapsed.TotalMilliseconds * _options.Speed);
                _view.Say($"First request routed after {watch.Elapsed.TotalSeconds:0.0} s: {request.Model} by {answer.Endpoint} ({answer.Lane}), charged {DemoTables.Dollars(answer.Charge)}.");
                return;
            }

            if (answer.Charge > Money.Zero)
            {
                // It ran into its deadline on an instance that had just started: the books have it, so it counts.
                _score.Sent(request.Class);
                _score.Failed(request, answer.Problem, answer.Charge);
            }

            await Task.Delay(PollEvery, cancellationToken);
        }
    }

    private async Task<bool> SummariseAsync(Replay replay, DemoFigures ended, CancellationToken cancellationToken)
    {
        // Silos report their use of leases at a steady beat: the ledgers and endpoints have the last of it a little later.
        var waited = Stopwatch.StartNew();
        DemoFigures figures;
        IReadOnlyList<AuditLine> audit;
        ImmutableArray<AuditCheck> checks;
        do
        {
            await Task.Delay(PollEvery, cancellationToken);
            figures = await _meter.ReadAsync(cancellationToken);
            audit = await _client.GetAuditAsync(cancellationToken);
            checks = DemoAudit.Compare(figures, audit);
        }
        while (!checks.All(check => check.Agrees) && waited.Elapsed < SettleAtMost);

        _view.Say("");
        _view.Say("Summary");

        // Costs stop with the last job; waiting for the ledgers is no part of the traffic.
        _view.Show(figures with
        {
            Endpoints = [.. figures.Endpoints.Zip(ended.Endpoints, static (last, atEnd) => last with { Cost = atEnd.Cost })],
            AllRealtimeAt99 = ended.AllRealtimeAt99,
            AllRealtimeAtPeak = ended.AllRealtimeAtPeak,
        });
        if (replay.Behind > TimeSpan.FromSeconds(1))
        {
            _view.Say($"This machine was too slow for the speed: a request left up to {replay.Behind.TotalSeconds:0.0} s late. Try a lower --speed.");
        }

        _view.Say("Do the figures of this run add up?");
        foreach (var check in checks)
        {
            _view.Say(check.ToString());
        }

        if (DemoAudit.Describe(figures, DemoAudit.CarriedOver(figures, audit)) is { } carried)
        {
            _view.Say(carried);
        }

        var agree = checks.All(check => check.Agrees);
        _view.Say(agree ? "All figures agree, money to the nano-dollar." : "The figures do NOT agree.");
        return agree;
    }
}
