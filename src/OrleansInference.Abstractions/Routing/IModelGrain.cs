using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Orleans.Concurrency;

namespace OrleansInference;

/// <summary>The parts that a request's latency is made of, measured apart.</summary>
[JsonConverter(typeof(NamedEnumConverter<LatencyPhase>))]
public enum LatencyPhase
{
    /// <summary>From arrival to the permit.</summary>
    QueueWait = 0,

    /// <summary>From send until a cold endpoint began to serve.</summary>
    ColdStart = 1,

    /// <summary>The model's own time, warm.</summary>
    Service = 2,

    /// <summary>On a shared endpoint: from send until a model that was not in memory began to serve.</summary>
    ModelLoad = 3,
}

/// <summary>Counts of a quantile sketch that one silo gathered since its last delta.</summary>
[GenerateSerializer, Immutable, Alias("oi.SketchDelta")]
public sealed record SketchDelta
{
    /// <summary>Where.</summary>
    [Id(0)] public required EndpointName Endpoint { get; init; }

    /// <summary>Which part.</summary>
    [Id(1)] public required LatencyPhase Phase { get; init; }

    /// <summary>Size class of the input; 0 when the phase is not conditioned on size.</summary>
    [Id(2)] public int SizeClass { get; init; }

    /// <summary>Bucket index of the first count.</summary>
    [Id(3)] public int FirstBucket { get; init; }

    /// <summary>Samples per bucket, from <see cref="FirstBucket"/> on.</summary>
    [Id(4)] public ImmutableArray<int> Counts { get; init; } = [];

    /// <summary>How many of the counts are of the long run and not of the recent past: what requests of the size took when some last came.</summary>
    [Id(5)] public int Remembered { get; init; }
}

/// <summary>What one silo saw of one model's endpoints since its last report.</summary>
[GenerateSerializer, Immutable, Alias("oi.LatencyReport")]
public sealed record LatencyReport
{
    /// <summary>The silo.</summary>
    [Id(0)] public required string Holder { get; init; }

    /// <summary>Counts up, so that a repeated report is not counted twice.</summary>
    [Id(1)] public required long Sequence { get; init; }

    /// <summary>Sketches with at least one sample.</summary>
    [Id(2)] public ImmutableArray<SketchDelta> Deltas { get; init; } = [];
}

/// <summary>Capacity of one endpoint as its grain last knew it.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointStatus")]
public sealed record EndpointStatus
{
    /// <summary>The endpoint.</summary>
    [Id(0)] public required EndpointName Endpoint { get; init; }

    /// <summary>Instances in service.</summary>
    [Id(1)] public int InService { get; init; }

    /// <summary>Instances wanted.</summary>
    [Id(2)] public int Desired { get; init; }

    /// <summary>Slots that may be used now.</summary>
    [Id(3)] public int Slots { get; init; }

    /// <summary>Slots out on leases that are in use, as last reported.</summary>
    [Id(4)] public int InFlight { get; init; }

    /// <summary>False while the breaker is open or the endpoint has failed.</summary>
    [Id(5)] public bool Healthy { get; init; } = true;

    /// <summary>Requests waiting or in the backlog of the async lane.</summary>
    [Id(6)] public int Backlog { get; init; }

    /// <summary>Unix ms when the next instances are expected in service; 0 if none are coming.</summary>
    [Id(7)] public long MoreAt { get; init; }

    /// <summary>Counts up with each change; at least the Unix ms of the moment that it describes.</summary>
    [Id(8)] public long Version { get; init; }

    /// <summary>Of a shared endpoint: the models believed to be in memory, the last used first.</summary>
    [Id(9)] public ImmutableArray<ModelUsed> Loaded { get; init; } = [];

    /// <summary>Of a real-time endpoint: slots that lower classes leave free for <see cref="TrafficClass.High"/>; null if that is not known.</summary>
    [Id(10)] public int? Headroom { get; init; }

    /// <summary>Slots that calls of <see cref="TrafficClass.High"/> had on average over the last minute or so; null if that is not known.</summary>
    [Id(11)] public double? MeanHigh { get; init; }

    /// <summary>And calls of <see cref="TrafficClass.Medium"/>.</summary>
    [Id(12)] public double? MeanMedium { get; init; }

    /// <summary>Slot-milliseconds of the jobs that wait for slots which are free anyway; null: none may wait so.</summary>
    [Id(13)] public long? DeferredWorkMs { get; init; }
}

/// <summary>When a model of a shared endpoint was last used.</summary>
/// <param name="TargetModel">The model.</param>
/// <param name="At">Unix ms.</param>
[GenerateSerializer, Immutable, Alias("oi.ModelUsed")]
public readonly record struct ModelUsed([property: Id(0)] string TargetModel, [property: Id(1)] long At);

/// <summary>Everything a silo needs to route a model's requests. Immutable; swapped whole.</summary>
[GenerateSerializer, Immutable, Alias("oi.RoutingSnapshot")]
public sealed record RoutingSnapshot
{
    /// <summary>The model with its variants and endpoints, tariffs filled in.</summary>
    [Id(0)] public required ModelDefinition Model { get; init; }

    /// <summary>Counts up with every publication.</summary>
    [Id(1)] public required long Version { get; init; }

    /// <summary>Operator's cost of one instance-second by endpoint (for serverless: of one execution-second).</summary>
    [Id(2)] public ImmutableDictionary<EndpointName, Money> InstanceSecondCosts { get; init; } = ImmutableDictionary<EndpointName, Money>.Empty;

    /// <summary>Capacity by endpoint.</summary>
    [Id(3)] public ImmutableArray<EndpointStatus> Status { get; init; } = [];

    /// <summary>Merged latency sketches of the recent past.</summary>
    [Id(4)] public ImmutableArray<SketchDelta> Latency { get; init; } = [];

    /// <summary>Default deadlines of the classes.</summary>
    [Id(5)] public ClassDeadlines Deadlines { get; init; } = new();

    /// <summary>Probability of meeting the deadline that a route must reach.</summary>
    [Id(6)] public double TargetProbability { get; init; } = 0.99;

    /// <summary>Operator's cost of one GB through a serverless endpoint.</summary>
    [Id(7)] public Money ServerlessPerGigabyteTransferred { get; init; }

    /// <summary>Names the activation that published it; null from a release before it was told.</summary>
    [Id(8)] public string? Activation { get; init; }

    /// <summary>By silo the sequence of the last report that is in <see cref="Latency"/>.</summary>
    [Id(9)] public ImmutableDictionary<string, long> Reported { get; init; } = ImmutableDictionary<string, long>.Empty;
}

/// <summary>Latency statistics as a silo holds them from a snapshot, for a model's grain that lost its own.</summary>
[GenerateSerializer, Immutable, Alias("oi.LatencyRecovery")]
public sealed record LatencyRecovery
{
    /// <summary>Version of the snapshot.</summary>
    [Id(0)] public required long Version { get; init; }

    /// <summary>Its sketches.</summary>
    [Id(1)] public ImmutableArray<SketchDelta> Latency { get; init; } = [];

    /// <summary>By silo the sequence of the last report in them.</summary>
    [Id(2)] public ImmutableDictionary<string, long> Reported { get; init; } = ImmutableDictionary<string, long>.Empty;
}

/// <summary>A silo's ear for snapshots.</summary>
[Alias("oi.IRoutingObserver")]
public interface IRoutingObserver : IGrainObserver
{
    /// <summary>A newer snapshot; a null one means the model is gone.</summary>
    [OneWay]
    [Alias("OnSnapshot")] Task OnSnapshot(ModelName model, RoutingSnapshot? snapshot);
}

/// <summary>A model's configuration, as the catalog hands it to its grain.</summary>
[GenerateSerializer, Immutable, Alias("oi.ModelConfiguration")]
public sealed record ModelConfiguration
{
    /// <summary>The model, tariffs filled in; null removes it.</summary>
    [Id(0)] public ModelDefinition? Model { get; init; }

    /// <summary>Operator's cost of one instance-second by endpoint.</summary>
    [Id(1)] public ImmutableDictionary<EndpointName, Money> InstanceSecondCosts { get; init; } = ImmutableDictionary<EndpointName, Money>.Empty;

    /// <summary>Default deadlines of the classes.</summary>
    [Id(2)] public ClassDeadlines Deadlines { get; init; } = new();

    /// <summary>Probability of meeting the deadline that a route must reach.</summary>
    [Id(3)] public double TargetProbability { get; init; } = 0.99;

    /// <summary>Operator's cost of one GB through a serverless endpoint.</summary>
    [Id(4)] public Money ServerlessPerGigabyteTransferred { get; init; }
}

/// <summary>Measured latency of one endpoint in one phase.</summary>
[GenerateSerializer, Immutable, Alias("oi.LatencyView")]
public sealed record LatencyView
{
    /// <summary>The endpoint.</summary>
    [Id(0)] public required EndpointName Endpoint { get; init; }

    /// <summary>Its lane.</summary>
    [Id(1)] public required Lane Lane { get; init; }

    /// <summary>The phase.</summary>
    [Id(2)] public required LatencyPhase Phase { get; init; }

    /// <summary>Samples in the statistics.</summary>
    [Id(3)] public long Count { get; init; }

    /// <summary>Median in seconds.</summary>
    [Id(4)] public double P50Seconds { get; init; }

    /// <summary>95th percentile in seconds.</summary>
    [Id(5)] public double P95Seconds { get; init; }

    /// <summary>99th percentile in seconds.</summary>
    [Id(6)] public double P99Seconds { get; init; }
}

/// <summary>A model's statistics.</summary>
[GenerateSerializer, Immutable, Alias("oi.ModelStatistics")]
public sealed record ModelStatistics
{
    /// <summary>The model.</summary>
    [Id(0)] public required ModelName Model { get; init; }

    /// <summary>Version of the snapshot in force.</summary>
    [Id(1)] public long Version { get; init; }

    /// <summary>Latency by endpoint and phase.</summary>
    [Id(2)] public ImmutableArray<LatencyView> Latency { get; init; } = [];

    /// <summary>Capacity by endpoint.</summary>
    [Id(3)] public ImmutableArray<EndpointStatus> Endpoints { get; init; } = [];
}

/// <summary>Owns a model's variants, endpoints and latency statistics, and publishes routing snapshots. Key: the model's name.</summary>
[Alias("oi.IModelGrain")]
public interface IModelGrain : IGrainWithStringKey
{
    /// <summary>Sets the configuration.</summary>
    [Alias("Configure")] Task Configure(ModelConfiguration configuration);

    /// <summary>Registers or renews a silo's observer; answers the snapshot if it is newer than <paramref name="knownVersion"/>.</summary>
    [Alias("Subscribe")] Task<RoutingSnapshot?> Subscribe(string holder, IRoutingObserver observer, long knownVersion);

    /// <summary>Merges what a silo measured.</summary>
    [Alias("Report")] Task Report(LatencyReport report);

    /// <summary>Offers the statistics of a snapshot that an earlier activation published: they are taken in place of what this one read from storage if they are newer.</summary>
    [Alias("Recover")] Task Recover(LatencyRecovery recovery);

    /// <summary>Takes an endpoint's capacity and publishes it.</summary>
    [Alias("SetStatus")] Task SetStatus(EndpointStatus status);

    /// <summary>What was measured; null if there is no such model.</summary>
    [Alias("GetStatistics")] Task<ModelStatistics?> GetStatistics();
}
