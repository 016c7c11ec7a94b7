using System.Collections.Immutable;
using OrleansInference.Latency;

namespace OrleansInference.Routing;

/// <summary>A routing snapshot with everything precomputed that a decision needs. Immutable; swapped whole.</summary>
public sealed class RoutingTable
{
    /// <summary>The most candidates of one model: one bit each in <see cref="RouteRequest.Excluded"/>.</summary>
    public const int MaxCandidates = 64;

    private readonly Dictionary<EndpointName, int> _byEndpoint = [];

    private RoutingTable(RoutingSnapshot snapshot, RoutingOptions options, ImmutableArray<Candidate> candidates)
    {
        Snapshot = snapshot;
        Options = options;
        Candidates = candidates;
        foreach (var candidate in candidates)
        {
            _byEndpoint.TryAdd(candidate.Endpoint.Name, candidate.Index);
        }
    }

    /// <summary>What it was built from.</summary>
    public RoutingSnapshot Snapshot { get; }

    /// <summary>The assumptions of its quotes.</summary>
    public RoutingOptions Options { get; }

    /// <summary>The model.</summary>
    public ModelName Model => Snapshot.Model.Name;

    /// <summary>The snapshot's version.</summary>
    public long Version => Snapshot.Version;

    /// <summary>Every (variant, endpoint), in catalog order.</summary>
    public ImmutableArray<Candidate> Candidates { get; }

    /// <summary>Operator's cost of one byte through a serverless endpoint, in nano-dollars.</summary>
    internal double ServerlessByteCost => Snapshot.ServerlessPerGigabyteTransferred.Nanos / 1e9;

    /// <summary>Builds the table.</summary>
    /// <exception cref="ArgumentException">The model has more than <see cref="MaxCandidates"/> endpoints, or one without a tariff.</exception>
    public static RoutingTable Build(RoutingSnapshot snapshot, RoutingOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        options ??= RoutingOptions.Default;
        var candidates = ImmutableArray.CreateBuilder<Candidate>();
        var deltas = snapshot.Latency.IsDefault ? [] : snapshot.Latency.AsSpan();
        var measured = SizesMeasured.Of(deltas);
        foreach (var variant in snapshot.Model.Variants)
        {
            foreach (var endpoint in variant.Endpoints)
            {
                if (candidates.Count == MaxCandidates)
                {
                    throw new ArgumentException($"Model {snapshot.Model.Name} has more than {MaxCandidates} endpoints; spread them over several models.", nameof(snapshot));
                }

                var tariff = endpoint.Tariff
                    ?? throw new ArgumentException($"Endpoint {endpoint.Name} has no tariff; resolve the catalog's prices before publishing it.", nameof(snapshot));
                candidates.Add(new(
                    candidates.Count,
                    variant,
                    endpoint,
                    tariff,
                    snapshot.InstanceSecondCosts.GetValueOrDefault(endpoint.Name),
                    StatusOf(snapshot, endpoint.SlotsName),
                    new(endpoint, LatencyBelief.Build(endpoint.Prior, deltas, endpoint.Name, AlikeOf(variant, endpoint), KinOf(variant, endpoint, measured, options), options.PriorSamples, options.PriorGoneAtSamples), snapshot.TargetProbability)));
            }
        }

        return new(snapshot, options, candidates.ToImmutable());
    }

    /// <summary>The same table with its endpoints as they now stand; what is believed of their latency is taken over.</summary>
    /// <param name="status">Capacity by endpoint.</param>
    /// <param name="version">The new table's version.</param>
    public RoutingTable With(ImmutableArray<EndpointStatus> status, long version)
    {
        var snapshot = Snapshot with { Status = status, Version = version };
        return new(snapshot, Options, [.. Candidates.Select(candidate => candidate.With(StatusOf(snapshot, candidate.Endpoint.SlotsName)))]);
    }

    /// <summary>Index of the candidate on <paramref name="endpoint"/>; -1 if there is none.</summary>
    public int IndexOf(EndpointName endpoint) => _byEndpoint.TryGetValue(endpoint, out var index) ? index : -1;

    /// <summary>The size class of a request: under it the service time is predicted and recorded.</summary>
    public int SizeClassOf(int inputTokens, int maxOutputTokens) =>
        SizeClass.Of(Snapshot.Model.MaxOutputTokens, inputTokens, maxOutputTokens);

    /// <summary>
    /// The variant's endpoints whose calls take as long as this one's: of real-time and async ones those on the same instances, of which the operator believes the same. What an async one measures is often
    /// taken from outside, with its queue, and so says nothing of a real-time one.
    /// </summary>
    private static EndpointName[] AlikeOf(VariantDefinition variant, EndpointDefinition endpoint) =>
    [
        .. from other in variant.Endpoints
           where IsAlike(endpoint, other)
           select other.Name,
    ];

    /// <summary>The variant's other endpoints that time each call by itself, as this one does, and of which it is known by what factor they differ.</summary>
    private static KinEndpoint[] KinOf(VariantDefinition variant, EndpointDefinition endpoint, Dictionary<EndpointName, SizesMeasured> measured, RoutingOptions options) => KinEndpoint.Of(
        measured.GetValueOrDefault(endpoint.Name),
        from other in variant.Endpoints
        where other.Name != endpoint.Name && (other.Lane, endpoint.Lane) is (Lane.Realtime or Lane.Serverless, Lane.Realtime or Lane.Serverless) && !IsAlike(endpoint, other) && measured.ContainsKey(other.Name)
        select (other.Name, measured[other.Name]),
        options.PriorSamples,
        options.PriorGoneAtSamples);

    private static bool IsAlike(EndpointDefinition endpoint, EndpointDefinition other) =>
        other.Name != endpoint.Name && (other.Lane, endpoint.Lane) is (Lane.Realtime, Lane.Realtime or Lane.Async) or (Lane.Async, Lane.Async)
        && other.InstanceType == endpoint.InstanceType && other.ConcurrencyPerInstance == endpoint.ConcurrencyPerInstance
        && other.Prior.ServiceP50Seconds == endpoint.Prior.ServiceP50Seconds && other.Prior.ServiceP99Seconds == endpoint.Prior.ServiceP99Seconds;

    private static EndpointStatus? StatusOf(RoutingSnapshot snapshot, EndpointName endpoint)
    {
        foreach (var status in snapshot.Status.IsDefault ? [] : snapshot.Status)
        {
            if (status.Endpoint == endpoint)
            {
                return status;
            }
        }

        return null;
    }
}
