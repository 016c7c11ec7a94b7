using System.Collections.Concurrent;
using System.Text.Json;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.Storage;
using OrleansInference.Pricing;

namespace OrleansInference.LocalAws.Models;

/// <summary>A model that transform jobs run.</summary>
internal sealed record BatchModel(string Name, EndpointDefinition Definition, ModelSimulation Simulation);

/// <summary>
/// The endpoints and models there are, as the last catalog says. Desired instances and the catalog outlive a restart. Models of transform jobs and
/// asynchronous endpoints stay when they have left the catalog, as they do in SageMaker until somebody deletes them: what the router had accepted for them still runs.
/// </summary>
internal sealed class SimulatedModels(LocalDatabase database, LocalAwsOptions options, RouterClock clock, CancellationToken stopping)
{
    private const string AllTraffic = "AllTraffic";
    private const int MostFormer = 1_000;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private readonly ConcurrentDictionary<string, SimulatedEndpoint> _endpoints = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, BatchModel> _models = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Deferred> _deferred = new(StringComparer.Ordinal);

    public IEnumerable<SimulatedEndpoint> Endpoints => _endpoints.Values.OrderBy(e => e.Name, StringComparer.Ordinal);

    public SimulatedEndpoint? FindEndpoint(string name) => _endpoints.GetValueOrDefault(name);

    public BatchModel? FindModel(string name) => _models.GetValueOrDefault(name);

    /// <summary>Takes the catalog of the last run, if there is one.</summary>
    public void Restore()
    {
        foreach (var former in Load<List<Deferred>>("former") ?? [])
        {
            Take(former.Definition, former.Variant, former.MaxOutputTokens);
            _deferred[former.Definition.TargetName] = former;
        }

        if (Load<CatalogDefinition>("catalog") is { } catalog)
        {
            Take(catalog);
        }
    }

    /// <summary>Creates and changes endpoints and models so that they are what the catalog says, and removes endpoints that it no longer has.</summary>
    public void Apply(CatalogDefinition catalog)
    {
        Save("catalog", catalog);
        var kept = Take(catalog);
        var former = _deferred.Where(entry => !kept.Contains(entry.Key)).ToList();
        foreach (var (name, _) in former.Skip(MostFormer))
        {
            _deferred.TryRemove(name, out _);
            _models.TryRemove(name, out _);
            _endpoints.TryRemove(name, out _);
        }

        Save("former", former.Take(MostFormer).Select(static entry => entry.Value).ToList());
    }

    /// <summary>Begins a change of an endpoint's instances, durably; false if one is under way.</summary>
    public bool TryScale(SimulatedEndpoint endpoint, int instances) => endpoint.TryScale(
        instances,
        () => database.Execute("INSERT INTO endpoint VALUES (?1, ?2) ON CONFLICT DO UPDATE SET instances = excluded.instances", endpoint.Name, instances));

    private void Save<T>(string name, T value) =>
        database.Execute("INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value", name, JsonSerializer.Serialize(value, Json));

    private T? Load<T>(string name)
        where T : class => database.Scalar<string>("SELECT value FROM setting WHERE name = ?1", name) is { } json ? JsonSerializer.Deserialize<T>(json, Json) : null;

    /// <summary>The names of what the catalog has.</summary>
    private HashSet<string> Take(CatalogDefinition catalog)
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
            _deferred.TryRemove(first.TargetName, out _);
            if (first.Shared is not { } shared)
            {
                Take(first, variant, maxOutputTokens);
                if (first.Lane is Lane.Async or Lane.Batch)
                {
                    _deferred[first.TargetName] = new(first, variant, maxOutputTokens);
                }

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

        foreach (var name in _endpoints.Keys.Concat(_models.Keys).Where(name => !kept.Contains(name) && !_deferred.ContainsKey(name)).ToList())
        {
            _endpoints.TryRemove(name, out _);
            _models.TryRemove(name, out _);
        }

        return kept;
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

    /// <summary>What work waits for: it may have been accepted before its endpoint left the catalog.</summary>
    private sealed record Deferred(EndpointDefinition Definition, string Variant, int MaxOutputTokens);
}
