using OrleansInference.Pricing;

namespace OrleansInference.Demo;

/// <summary>
/// The same requests on real-time endpoints of each model's best variant. The time a request would take there follows from
/// its tokens by the simulated model's own rates, without jitter. Safe for concurrent use.
/// </summary>
internal sealed class RealtimeBaseline
{
    private readonly Lock _lock = new();
    private readonly AllRealtimeBaseline _baseline = new();
    private readonly Dictionary<ModelName, (EndpointDefinition Endpoint, Money InstanceSecond)> _endpoints = [];

    public RealtimeBaseline(CatalogDefinition catalog)
    {
        var prices = new PriceTable(catalog);
        foreach (var model in catalog.Models)
        {
            var endpoint = DemoCatalog.RealtimeOf(model);
            _endpoints[model.Name] = (endpoint, prices.InstanceSecondCost(endpoint));
        }
    }

    /// <summary>Adds a request that was answered, on whatever lane.</summary>
    public void Add(in DemoRequest request)
    {
        var (endpoint, cost) = _endpoints[request.Model];
        var model = endpoint.Simulation;
        var seconds = model.BaseSeconds + (request.InputTokens / model.PrefillTokensPerSecond)
            + (model.DecodeTokensPerSecond > 0 ? request.OutputTokens / model.DecodeTokensPerSecond : 0);
        lock (_lock)
        {
            _baseline.Add(request.Model, (long)request.Offset.TotalMilliseconds, (long)(seconds * 1000), endpoint.ConcurrencyPerInstance, cost);
        }
    }

    /// <summary>Cost of the fleets kept for <paramref name="span"/>, busy or idle, as the router's own instances are.</summary>
    public Money Cost(TimeSpan span, Func<ModelBaseline, int> instances)
    {
        lock (_lock)
        {
            return _baseline.Report().Models.Aggregate(
                Money.Zero,
                (sum, model) => sum + OperatorCost.OfInstances(_endpoints[model.Model].InstanceSecond, instances(model) * (long)span.TotalMilliseconds));
        }
    }
}
