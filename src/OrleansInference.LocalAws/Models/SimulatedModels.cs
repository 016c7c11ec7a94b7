using System.Collections.Concurrent;
using System.Text.Json;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.Storage;
using OrleansInference.Pricing;

namespace OrleansInference.LocalAws.Models;

/// <summary>A model that transform jobs run.</summary>
internal sealed record BatchModel(string Name, EndpointDefinition Definition, ModelSimulation Simulation);

/// <summary>The endpoints and models there are, as the last catalog says. Desired instances and the catalog outlive a restart.</summary>
internal sealed class SimulatedModels(LocalDatabase database, LocalAwsOptions options, RouterClock clock, CancellationToken stopping)
{
    private const string AllTraffic = "AllTraffic";
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private readonly ConcurrentDictionary<string, SimulatedEndpoint> _endpoints = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, BatchModel> _models = new(StringComparer.Ordinal);

    public IEnumerable<SimulatedEndpoint> Endpoints => _endpoints.Values.OrderBy(e => e.Name, StringComparer.Ordinal);

    public SimulatedEndpoint? FindEndpoint(string name) => _endpoints.GetValueOrDefault(name);

    public BatchModel? FindModel(string name) => _models.GetValueOrDefault(name);

    /// <summary>Takes the catalog of the last run, if there is one.</summary>
    public void Restore()
    {
        if (database.Scalar<string>("SELECT value FROM setting WHERE name = 'catalog'") is { } json && JsonSerializer.Deserialize<CatalogDefinition>(json, Json) is { } catalog)
        {
            Take(catalog);
        }
    }

    /// <summary>Creates, changes and removes endpoints and models so that they are what the catalog says.</summary>
    public void Apply(CatalogDefinition catalog)
    {
        database.Execute("INSERT INTO setting VALUES ('catalog', ?1) ON CONFLICT DO UPDATE SET value = excluded.value", JsonSerializer.Serialize(catalog, Json));
        Take(catalog);
    }

    /// <summary>Begins a change of an endpoint's instances, durably; false if one is under way.</summary>
    public bool TryScale(SimulatedEndpoint endpoint, int instances) => endpoint.TryScale(
        instances,
        () => database.Execute("INSERT INTO endpoint VALUES (?1, ?2) ON CONFLICT DO UPDATE SET instances = excluded.instances", endpoint.Name, instances));

    private void Take(CatalogDefinition catalog)
    {
        var kept = new HashSet<string>(StringComparer.Ordinal);
        var whole = CatalogSharing.Resolve(catalog);
        var endpoints =
            from model in whole.Models
            from variant in model.Variants
            from endpoint in variant.Endpoints
            group (Endpoint: endpoint, Variant: variant.Name.Value, model.MaxOutputTokens) by endpoint.SlotsName;
        foreach (var users in endpoints)
        {
            var (first, variant, maxOutputTokens) = users.First();
            kept.Add(first.TargetName);
            if (first.Shared is not { } shared)
            {
                Take(first, variant, maxOutputTokens);
                continue;
            }

            Take(whole.SharedEndpoints.First(host => host.Name == shared), AllTraffic, maxOutputTokens);
            _endpoints[first.TargetName].Host(users
                .Where(static user => user.Endpoint.TargetModel is not null)
                .DistinctBy(static user => user.Endpoint.TargetModel)
                .ToDictionary(
                    static user => user.Endpoint.TargetModel!,
                    user => new HostedModel(
                        new(user.Endpoint.Simulation, user.MaxOutputTokens, options.Seed, user.Endpoint.Name.Value),
                        TimeSpan.FromSeconds(user.Endpoint.Simulation.LoadSeconds)),
                    StringComparer.Ordinal));
        }

        foreach (var name in _endpoints.Keys.Concat(_models.Keys).Where(name => !kept.Contains(name)).ToList())
        {
            _endpoints.TryRemove(name, out _);
            _models.TryRemove(name, out _);
        }
    }

    private void Take(EndpointDefinition definition, string variant, int maxOutputTokens)
    {
        var name = definition.TargetName;
        var simulation = new ModelSimulation(definition.Simulation, maxOutputTokens, options.Seed, name);
        if (definition.Lane == Lane.Batch)
        {
            _models[name] = new(name, definition, simulation);
        }
        else if (_endpoints.TryGetValue(name, out var endpoint) && endpoint.Lane == definition.Lane)
        {
            endpoint.Redefine(definition, variant, simulation);
            endpoint.Host(null);
        }
        else
        {
            var least = definition.Lane switch { Lane.Realtime => Math.Max(1, definition.MinInstances), Lane.Async or Lane.Serverless => definition.MinInstances, _ => 0 };
            var instances = (int)(database.Scalar<long?>("SELECT instances FROM endpoint WHERE name = ?1", name) ?? least);
            _endpoints[name] = new(definition, variant, simulation, instances, options.QueuePerInstance, clock, stopping);
        }
    }
}
