using System.Collections.Immutable;
using OrleansInference.Latency;
using OrleansInference.Routing;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies;

/// <summary>A model's routing table in the simulated world: made anew when endpoints change, and from what was measured now and then.</summary>
internal sealed class RoutedTable
{
    private const long MostPublishMs = 600_000;

    private readonly World _world;
    private readonly ModelConfiguration _configuration;
    private readonly LatencyRecorder _recorder;
    private readonly RoutedFleet _fleet;
    private readonly LatencyStatistics _statistics = new();
    private readonly long _publishMs;
    private long _sequence;
    private long _version;
    private long _publishAt;
    private bool _isStale;

    /// <summary>The table of a model of which nothing has been measured.</summary>
    /// <param name="world">The world.</param>
    /// <param name="configuration">The model's configuration.</param>
    /// <param name="recorder">What is measured.</param>
    /// <param name="fleet">The model's endpoints.</param>
    /// <param name="silos">Silos that requests come to; 0: one place that knows everything.</param>
    public RoutedTable(World world, ModelConfiguration configuration, LatencyRecorder recorder, RoutedFleet fleet, int silos)
    {
        (_world, _configuration, _recorder, _fleet) = (world, configuration, recorder, fleet);

        // A cluster's silos are told at once what was measured; the many that a trace has make that dear, and little different.
        _publishMs = silos > 0 ? 0 : MostPublishMs;
        Current = Build();
    }

    /// <summary>The table as it was last made.</summary>
    public RoutingTable Current { get; private set; }

    /// <summary>Endpoints have changed.</summary>
    public void Changed() => _isStale = true;

    /// <summary>Makes it anew if endpoints have changed.</summary>
    public void Refresh()
    {
        if (_isStale)
        {
            _isStale = false;
            Current = Current.With(Statuses(), ++_version);
        }
    }

    /// <summary>Takes up what was measured, if it is time or there is news.</summary>
    public void Poll()
    {
        var now = _world.NowMs;
        _isStale = true;
        if (now >= _publishAt || _fleet.Endpoints.Any(static endpoint => endpoint.HasNews))
        {
            var isRegular = now >= _publishAt;
            _publishAt = isRegular ? now + _publishMs : _publishAt;
            foreach (var endpoint in _fleet.Endpoints)
            {
                endpoint.Told(isRegular);
            }

            _statistics.Merge(new() { Holder = "one", Sequence = ++_sequence, Deltas = _recorder.Drain() }, now);
            Current = Build();
        }
    }

    private RoutingTable Build()
    {
        _isStale = false;
        return RoutingTable.Build(new()
        {
            Model = _configuration.Model!,
            Version = ++_version,
            InstanceSecondCosts = _configuration.InstanceSecondCosts,
            Status = Statuses(),
            Latency = _statistics.Publish(_world.NowMs),
            TargetProbability = _configuration.TargetProbability,
        });
    }

    private ImmutableArray<EndpointStatus> Statuses() => [.. _fleet.Endpoints.Select(endpoint => endpoint.Status(_version))];
}
