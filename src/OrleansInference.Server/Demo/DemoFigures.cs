using System.Collections.Immutable;
using System.Diagnostics;
using OrleansInference.Audit;

namespace OrleansInference.Demo;

/// <summary>One endpoint since the replay began.</summary>
/// <param name="Name">The endpoint.</param>
/// <param name="Model">Its model.</param>
/// <param name="Lane">Its lane.</param>
/// <param name="InService">Instances in service now.</param>
/// <param name="Desired">Instances wanted now.</param>
/// <param name="Cost">What AWS billed.</param>
/// <param name="Charged">What tenants were charged.</param>
/// <param name="Predictions">Predictions it gave.</param>
internal sealed record EndpointFigures(EndpointName Name, ModelName Model, Lane Lane, int InService, int Desired, Money Cost, Money Charged, long Predictions)
{
    /// <summary>Cost of one prediction, rounded up; null while there is none.</summary>
    public Money? CostPerPrediction => Predictions == 0 ? null : Money.FromNanos((Cost.Nanos + Predictions - 1) / Predictions);
}

/// <summary>One tenant's budget.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Limit">Limit of its tightest window.</param>
/// <param name="Left">What could still be granted of it, and what silos hold unspent.</param>
/// <param name="Settled">Final charges in its ledger.</param>
/// <param name="Before">What was booked before this demo.</param>
internal sealed record BudgetFigures(TenantId Tenant, Money Limit, Money Left, Money Settled, TenantBooks Before);

/// <summary>A tenant's charges in both books.</summary>
/// <param name="Logged">In the audit log.</param>
/// <param name="Settled">In the ledger; a server that was killed may have left the two apart.</param>
/// <param name="CarriedOver">In the audit log, of requests that had arrived in an earlier run.</param>
internal sealed record TenantBooks(Money Logged, Money Settled, AuditCarriedOver CarriedOver)
{
    public static readonly AuditCarriedOver NoneCarriedOver = new(0, 0, Money.Zero);

    public static readonly TenantBooks Empty = new(Money.Zero, Money.Zero, NoneCarriedOver);
}

/// <summary>A moment of the demo: what callers saw and what the router booked.</summary>
internal sealed record DemoFigures
{
    public required DemoCounts Counts { get; init; }

    public required ImmutableArray<EndpointFigures> Endpoints { get; init; }

    public required ImmutableArray<BudgetFigures> Budgets { get; init; }

    /// <summary>What AWS billed since the replay began.</summary>
    public Money Cost => Endpoints.Aggregate(Money.Zero, (sum, endpoint) => sum + endpoint.Cost);

    /// <summary>What fixed real-time fleets for the same requests would have cost over the same time, sized for the 99th percentile of the minutes.</summary>
    public required Money AllRealtimeAt99 { get; init; }

    /// <summary>The same, sized for the busiest minute.</summary>
    public required Money AllRealtimeAtPeak { get; init; }
}

/// <summary>Gathers the figures over HTTP, beside the replay.</summary>
internal sealed class DemoMeter
{
    private static readonly TimeSpan QuietFor = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan QuietAtMost = TimeSpan.FromSeconds(30);

    private readonly DemoClient _client;
    private readonly DemoScore _score;
    private readonly CatalogDefinition _catalog;
    private readonly RealtimeBaseline _baseline;
    private readonly Func<TenantId, string> _keyOf;
    private readonly double _speed;
    private ImmutableDictionary<EndpointName, EndpointView> _before = ImmutableDictionary<EndpointName, EndpointView>.Empty;
    private ImmutableDictionary<EndpointName, Money> _warmUp = ImmutableDictionary<EndpointName, Money>.Empty;
    private Stopwatch? _sinceBegin;
    private ImmutableDictionary<TenantId, TenantBooks> _books = ImmutableDictionary<TenantId, TenantBooks>.Empty;

    public DemoMeter(DemoClient client, DemoScore score, CatalogDefinition catalog, RealtimeBaseline baseline, Func<TenantId, string> keyOf, double speed)
    {
        _speed = speed;
        _client = client;
        _score = score;
        _catalog = catalog;
        _baseline = baseline;
        _keyOf = keyOf;
    }

    /// <summary>Takes what was booked before this run, in a data folder that was used before.</summary>
    public async Task BeginAsync(CancellationToken cancellationToken)
    {
        // Jobs of an earlier run may end right now, and no two books are written at the same moment: what is between them must stand still.
        var watch = Stopwatch.StartNew();
        var lags = await TakeBooksAsync(cancellationToken);
        var isQuiet = lags.All(static lag => lag == 0);
        while (!isQuiet && watch.Elapsed < QuietAtMost)
        {
            await Task.Delay(QuietFor, cancellationToken);
            var before = lags;
            lags = await TakeBooksAsync(cancellationToken);
            isQuiet = lags.SequenceEqual(before);
        }

        await BeginReplayAsync(cancellationToken);
    }

    /// <summary>Takes what was billed before the replay, so that warming up is not compared with a fleet that is warm already.</summary>
    public async Task BeginReplayAsync(CancellationToken cancellationToken)
    {
        _warmUp = (await ViewsAsync(cancellationToken)).ToImmutableDictionary(entry => entry.Key, entry => entry.Value.Cost);
        _sinceBegin = Stopwatch.StartNew();
    }

    /// <summary>The figures now.</summary>
    public async Task<DemoFigures> ReadAsync(CancellationToken cancellationToken)
    {
        var endpoints = ImmutableArray.CreateBuilder<EndpointFigures>();
        foreach (var name in Endpoints())
        {
            var view = await _client.GetEndpointAsync(name, cancellationToken);
            var before = _before[name];
            endpoints.Add(new(
                name,
                view.Configuration.Model,
                view.Configuration.Endpoint.Lane,
                view.Status.InService,
                view.Status.Desired,
                view.Cost - _warmUp[name],
                view.Charged - before.Charged,
                view.Predictions - before.Predictions));
        }

        var budgets = ImmutableArray.CreateBuilder<BudgetFigures>();
        foreach (var tenant in _catalog.Tenants)
        {
            var view = await _client.GetBudgetAsync(_keyOf(tenant.Id), tenant.Id, cancellationToken);
            var outstanding = view.Leases.Aggregate(Money.Zero, (sum, lease) => sum + lease.Outstanding);
            var tightest = view.Windows.MinBy(window => window.Available);
            budgets.Add(new(
                tenant.Id,
                tightest?.Window.Limit ?? Money.MaxValue,
                tightest is null ? Money.MaxValue : Money.Min(tightest.Available + outstanding, tightest.Window.Limit),
                view.SettledTotal,
                _books.GetValueOrDefault(tenant.Id, TenantBooks.Empty)));
        }

        var span = (_sinceBegin?.Elapsed ?? TimeSpan.Zero) * _speed;
        return new()
        {
            Counts = _score.Read(),
            Endpoints = endpoints.ToImmutable(),
            Budgets = budgets.ToImmutable(),
            AllRealtimeAt99 = _baseline.Cost(span, static model => model.InstancesAt99),
            AllRealtimeAtPeak = _baseline.Cost(span, static model => model.PeakInstances),
        };
    }

    /// <summary>Takes every book, and answers by how much one is ahead of another: of predictions, then of each tenant's charges.</summary>
    private async Task<List<long>> TakeBooksAsync(CancellationToken cancellationToken)
    {
        _before = await ViewsAsync(cancellationToken);
        var audit = (await _client.GetAuditAsync(cancellationToken)).ToDictionary(line => line.Tenant);
        var books = ImmutableDictionary.CreateBuilder<TenantId, TenantBooks>();
        foreach (var tenant in _catalog.Tenants.Select(static tenant => tenant.Id))
        {
            var line = audit.GetValueOrDefault(tenant);
            var settled = (await _client.GetBudgetAsync(_keyOf(tenant), tenant, cancellationToken)).SettledTotal;
            books[tenant] = new(line?.Charged ?? Money.Zero, settled, line?.CarriedOver ?? TenantBooks.NoneCarriedOver);
        }

        _books = books.ToImmutable();
        return
        [
            _before.Values.Sum(static view => view.Predictions) - _books.Values.Sum(static book => book.CarriedOver.Predictions),
            .. _catalog.Tenants.Select(tenant => (_books[tenant.Id].Logged - _books[tenant.Id].Settled).Nanos),
        ];
    }

    private async Task<ImmutableDictionary<EndpointName, EndpointView>> ViewsAsync(CancellationToken cancellationToken)
    {
        var views = ImmutableDictionary.CreateBuilder<EndpointName, EndpointView>();
        foreach (var endpoint in Endpoints())
        {
            views[endpoint] = await _client.GetEndpointAsync(endpoint, cancellationToken);
        }

        return views.ToImmutable();
    }

    private IEnumerable<EndpointName> Endpoints() =>
        _catalog.Models.SelectMany(model => model.Variants).SelectMany(variant => variant.Endpoints).Select(endpoint => endpoint.SlotsName).Distinct();
}
