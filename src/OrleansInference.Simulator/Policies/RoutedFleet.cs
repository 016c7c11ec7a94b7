using System.Collections.Immutable;
using OrleansInference.Capacity;
using OrleansInference.Latency;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>A model's endpoints in the simulated world, as its catalog describes them: those with slots, and those of the batch lane. By candidate they stand in the catalog's order.</summary>
internal sealed class RoutedFleet
{
    private readonly RoutedEndpoint?[] _endpointAt;
    private readonly RoutedWindows?[] _windowsAt;

    /// <summary>The endpoints of a model.</summary>
    /// <param name="world">The world.</param>
    /// <param name="index">Index of the model.</param>
    /// <param name="configuration">The model's configuration.</param>
    /// <param name="recorder">Takes how long calls take.</param>
    /// <param name="options">Which ideas are in use.</param>
    /// <param name="miss">Gives up a request.</param>
    /// <param name="firstTimer">The world's number of the first timer that they may use.</param>
    public RoutedFleet(World world, int index, ModelConfiguration configuration, LatencyRecorder recorder, RoutedOptions options, Action<int> miss, int firstTimer)
    {
        var model = world.Scenario.Models[index];
        Jobs = model.LaneOf(Lane.Batch) is { } batch ? new(world, index, batch, miss) : null;
        var endpoints = ImmutableArray.CreateBuilder<RoutedEndpoint>();
        var windows = ImmutableArray.CreateBuilder<RoutedWindows>();
        foreach (var variant in configuration.Model!.Variants)
        {
            var at = IndexOf(model, variant.Name.Value);
            foreach (var endpoint in variant.Endpoints)
            {
                var candidate = endpoints.Count + windows.Count;
                if (endpoint.Lane == Lane.Batch)
                {
                    var described = new EndpointConfiguration
                    {
                        Model = configuration.Model.Name,
                        Variant = variant.Name,
                        Endpoint = endpoint,
                        InstanceSecondCost = configuration.InstanceSecondCosts[endpoint.Name],
                    };
                    windows.Add(new(world, described, at, Jobs!, recorder) { Candidate = candidate, Timer = firstTimer + windows.Count });
                    continue;
                }

                var pool = world.AddPool(index, at, model.LaneOf(endpoint.Lane)!, endpoint.Lane is Lane.Realtime or Lane.Async ? endpoint.MinInstances : 0);
                var (ratio, slots) = SpillStaffing.Elsewhere(configuration, variant, endpoint);
                endpoints.Add(new(world, endpoint, pool, recorder, options, miss) { Candidate = candidate, SpillRatio = ratio, SpillSlots = slots });
            }
        }

        (Endpoints, Windows) = (endpoints.ToImmutable(), windows.ToImmutable());
        Count = Endpoints.Length + Windows.Length;
        (_endpointAt, _windowsAt) = (new RoutedEndpoint?[Count], new RoutedWindows?[Count]);
        foreach (var endpoint in Endpoints)
        {
            _endpointAt[endpoint.Candidate] = endpoint;
        }

        foreach (var each in Windows)
        {
            _windowsAt[each.Candidate] = each;
        }
    }

    /// <summary>How many candidates there are.</summary>
    public int Count { get; }

    /// <summary>Endpoints with slots.</summary>
    public ImmutableArray<RoutedEndpoint> Endpoints { get; }

    /// <summary>Endpoints of the batch lane.</summary>
    public ImmutableArray<RoutedWindows> Windows { get; }

    /// <summary>The batch jobs; null if the model has no batch lane.</summary>
    public RoutedJobs? Jobs { get; }

    /// <summary>A candidate's endpoint with slots; null if it is of the batch lane.</summary>
    public RoutedEndpoint? EndpointAt(int candidate) => _endpointAt[candidate];

    /// <summary>A candidate's endpoint of the batch lane; null if it is none.</summary>
    public RoutedWindows? WindowsAt(int candidate) => _windowsAt[candidate];

    private static int IndexOf(ScenarioModel model, string name)
    {
        for (var i = 0; i < model.Variants.Length; i++)
        {
            if (ScenarioCatalog.NameOf(model.Variants[i].Name) == name)
            {
                return i;
            }
        }

        throw new InvalidOperationException($"There is no variant '{name}'.");
    }
}
