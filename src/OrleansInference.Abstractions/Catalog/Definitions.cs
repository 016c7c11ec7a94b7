using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>The four ways SageMaker serves. Written on resources as the tag <c>InferenceType</c>.</summary>
[JsonConverter(typeof(NamedEnumConverter<Lane>))]
public enum Lane
{
    /// <summary>A real-time endpoint on instances that are always billed.</summary>
    Realtime = 0,

    /// <summary>Serverless inference: billed by GB-second, starts cold.</summary>
    Serverless = 1,

    /// <summary>Asynchronous inference through S3; may scale to zero.</summary>
    Async = 2,

    /// <summary>A batch transform job over a window of requests.</summary>
    Batch = 3,
}

/// <summary>What the caller declares: it sets the default deadline and the queueing order.</summary>
[JsonConverter(typeof(NamedEnumConverter<TrafficClass>))]
public enum TrafficClass
{
    /// <summary>A person waits.</summary>
    High = 0,

    /// <summary>Seconds to minutes are fine.</summary>
    Medium = 1,

    /// <summary>Hours are fine.</summary>
    Low = 2,
}

/// <summary>
/// What a tenant pays for use of an endpoint; the parts add up. A tariff with every part zero charges nothing.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.Tariff")]
public sealed record Tariff
{
    /// <summary>Per second of one slot, from send to answer.</summary>
    [Id(0)] public Money PerSlotSecond { get; init; }

    /// <summary>Per request that was sent.</summary>
    [Id(1)] public Money PerRequest { get; init; }

    /// <summary>Per 1,000 input tokens.</summary>
    [Id(2)] public Money PerThousandInputTokens { get; init; }

    /// <summary>Per 1,000 output tokens.</summary>
    [Id(3)] public Money PerThousandOutputTokens { get; init; }

    /// <summary>Per GB (10⁹ bytes) of request and response bodies.</summary>
    [Id(4)] public Money PerGigabyte { get; init; }
}

/// <summary>What is believed of an endpoint's latency before anything was measured.</summary>
[GenerateSerializer, Immutable, Alias("oi.LatencyPrior")]
public sealed record LatencyPrior
{
    /// <summary>Median service time in seconds, greater than 0.</summary>
    [Id(0)] public double ServiceP50Seconds { get; init; } = 0.5;

    /// <summary>99th percentile of the service time in seconds, at least the median.</summary>
    [Id(1)] public double ServiceP99Seconds { get; init; } = 1.5;

    /// <summary>Seconds from nothing warm to the first answer's start (instance provisioning, or a serverless start).</summary>
    [Id(2)] public double ColdStartSeconds { get; init; }

    /// <summary>For a model on a shared endpoint: seconds to load it into an instance's memory.</summary>
    [Id(3)] public double ModelLoadSeconds { get; init; }
}

/// <summary>How an endpoint behaves when it is simulated by the embedded AWS. Ignored on real AWS.</summary>
[GenerateSerializer, Immutable, Alias("oi.SimulatedModel")]
public sealed record SimulatedModel
{
    /// <summary>Seconds added to every request.</summary>
    [Id(0)] public double BaseSeconds { get; init; }

    /// <summary>Input tokens read per second, greater than 0.</summary>
    [Id(1)] public double PrefillTokensPerSecond { get; init; } = 8000;

    /// <summary>Output tokens written per second; 0 means that output length costs no time.</summary>
    [Id(2)] public double DecodeTokensPerSecond { get; init; } = 100;

    /// <summary>Sigma of the lognormal factor on the service time.</summary>
    [Id(3)] public double Jitter { get; init; } = 0.1;

    /// <summary>Seconds until a new instance serves, or until a serverless environment or transform job has started.</summary>
    [Id(4)] public double StartSeconds { get; init; } = 180;

    /// <summary>Seconds a serverless environment stays warm after use.</summary>
    [Id(5)] public double KeepWarmSeconds { get; init; } = 300;

    /// <summary>Share of requests, 0..1, that the model fails with an error of its own.</summary>
    [Id(6)] public double ErrorRate { get; init; }

    /// <summary>For a model on a shared endpoint: seconds to load it into an instance's memory.</summary>
    [Id(7)] public double LoadSeconds { get; init; }
}

/// <summary>Who changes an endpoint's number of instances.</summary>
[JsonConverter(typeof(NamedEnumConverter<ScalingMode>))]
public enum ScalingMode
{
    /// <summary>The router.</summary>
    Managed = 0,

    /// <summary>Others: the router only says what the number should be, and changes nothing.</summary>
    Recommend = 1,
}

/// <summary>Where a variant runs: a lane, an instance type, capacity bounds, concurrency and price.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointDefinition")]
public sealed record EndpointDefinition
{
    /// <summary>Unique in the catalog; also the SageMaker endpoint's name (the model's name for the batch lane) unless <see cref="Target"/> says otherwise.</summary>
    [Id(0)] public required EndpointName Name { get; init; }

    /// <summary>How SageMaker serves it.</summary>
    [Id(1)] public required Lane Lane { get; init; }

    /// <summary>Instance type, a key of the price table; empty for serverless.</summary>
    [Id(2)] public string InstanceType { get; init; } = "";

    /// <summary>Requests one instance serves at a time, at least 1. For serverless: 1.</summary>
    [Id(3)] public int ConcurrencyPerInstance { get; init; } = 1;

    /// <summary>Fewest instances kept in service.</summary>
    [Id(4)] public int MinInstances { get; init; }

    /// <summary>Most instances; for serverless the most concurrent executions, for batch the instances of one job.</summary>
    [Id(5)] public int MaxInstances { get; init; } = 1;

    /// <summary>Memory of a serverless endpoint in MB, 1024..6144; 0 elsewhere.</summary>
    [Id(6)] public int MemoryMb { get; init; }

    /// <summary>Largest request body in bytes that the lane takes.</summary>
    [Id(7)] public long MaxPayloadBytes { get; init; } = 6_291_456;

    /// <summary>Longest a call may run, in seconds.</summary>
    [Id(8)] public double MaxServiceSeconds { get; init; } = 60;

    /// <summary>What a tenant pays; absent: derived from the price table and <see cref="CatalogDefinition.IdleMargin"/>.</summary>
    [Id(9)] public Tariff? Tariff { get; init; }

    /// <summary>What is believed of its latency before anything was measured.</summary>
    [Id(10)] public LatencyPrior Prior { get; init; } = new();

    /// <summary>The SageMaker name to call, if it is not <see cref="Name"/>.</summary>
    [Id(11)] public string? Target { get; init; }

    /// <summary>Whether the endpoint can stream its answer.</summary>
    [Id(12)] public bool Streaming { get; init; }

    /// <summary>How the embedded AWS simulates it.</summary>
    [Id(13)] public SimulatedModel Simulation { get; init; } = new();

    /// <summary>For batch: the most requests of one window, 1..3,000, the most that a window's state has room for. A stored one above, of an earlier version, counts as that.</summary>
    [Id(14)] public int WindowMaxRequests { get; init; } = 1000;

    /// <summary>For batch: the longest a window stays open, in seconds.</summary>
    [Id(15)] public double WindowMaxSeconds { get; init; } = 900;

    /// <summary>When true no new request is sent here; calls under way end normally.</summary>
    [Id(16)] public bool Draining { get; init; }

    /// <summary>
    /// The shared endpoint of <see cref="CatalogDefinition.SharedEndpoints"/> whose instances serve this, a SageMaker multi-model endpoint; null: it has instances of
    /// its own. What describes the instances and their limits is taken from there.
    /// </summary>
    [Id(17)] public EndpointName? Shared { get; init; }

    /// <summary>On a shared endpoint: the model's archive there, as SageMaker's <c>TargetModel</c> names it.</summary>
    [Id(18)] public string? TargetModel { get; init; }

    /// <summary>Of a shared endpoint: how many models one instance holds in memory at once, at least 1; beyond it the one that was not used for longest is unloaded. 0 elsewhere.</summary>
    [Id(19)] public int LoadedModels { get; init; }

    /// <summary>Whether the router changes the number of instances, or only says what it should be.</summary>
    [Id(20)] public ScalingMode Scaling { get; init; }

    /// <summary>Of a serverless endpoint: the most executions that are kept warm (SageMaker's provisioned concurrency), at least <see cref="MinInstances"/>, the fewest; 0: as many as those. 0 elsewhere.</summary>
    [Id(21)] public int MaxProvisioned { get; init; }

    /// <summary>Of a real-time endpoint with instances of its own: whether jobs whose deadline is far enough away may wait for slots of it that are free anyway; null: yes.</summary>
    [Id(22)] public bool? ServesDeferred { get; init; }

    /// <summary>Whether jobs may wait for slots of it that are free anyway.</summary>
    [JsonIgnore] public bool TakesDeferred => Lane == Lane.Realtime && Shared is null && LoadedModels == 0 && ServesDeferred != false;

    /// <summary>Of a serverless endpoint: whether any executions are kept warm.</summary>
    [JsonIgnore] public bool IsProvisioned => Lane == Lane.Serverless && Math.Max(MinInstances, MaxProvisioned) > 0;

    /// <summary>The name that SageMaker knows: <see cref="Target"/>, else <see cref="Name"/>.</summary>
    [JsonIgnore] public string TargetName => Target ?? Name.Value;

    /// <summary>Whose slots and instances it uses: the shared endpoint's, else its own.</summary>
    [JsonIgnore] public EndpointName SlotsName => Shared ?? Name;
}

/// <summary>One build of a model.</summary>
[GenerateSerializer, Immutable, Alias("oi.VariantDefinition")]
public sealed record VariantDefinition
{
    /// <summary>Unique within the model.</summary>
    [Id(0)] public required VariantName Name { get; init; }

    /// <summary>Quality score, 0..1; 1 is the full model.</summary>
    [Id(1)] public double Quality { get; init; } = 1;

    /// <summary>Where it runs; at least one.</summary>
    [Id(2)] public ImmutableArray<EndpointDefinition> Endpoints { get; init; } = [];
}

/// <summary>What is asked for by name.</summary>
[GenerateSerializer, Immutable, Alias("oi.ModelDefinition")]
public sealed record ModelDefinition
{
    /// <summary>Unique in the catalog; the endpoint name of the SageMaker dialect.</summary>
    [Id(0)] public required ModelName Name { get; init; }

    /// <summary>Its builds; at least one.</summary>
    [Id(1)] public ImmutableArray<VariantDefinition> Variants { get; init; } = [];

    /// <summary>Most output tokens of one answer; bounds the charge cap of token tariffs.</summary>
    [Id(2)] public int MaxOutputTokens { get; init; } = 4096;
}

/// <summary>How a budget window moves.</summary>
[JsonConverter(typeof(NamedEnumConverter<BudgetWindowKind>))]
public enum BudgetWindowKind
{
    /// <summary>The last <see cref="BudgetWindowDefinition.Seconds"/> seconds, at every moment.</summary>
    Rolling = 0,

    /// <summary>The tenant's calendar day.</summary>
    CalendarDay = 1,

    /// <summary>The tenant's calendar month.</summary>
    CalendarMonth = 2,
}

/// <summary>A limit on the charges inside a span of time.</summary>
[GenerateSerializer, Immutable, Alias("oi.BudgetWindowDefinition")]
public sealed record BudgetWindowDefinition
{
    /// <summary>How the window moves.</summary>
    [Id(0)] public required BudgetWindowKind Kind { get; init; }

    /// <summary>Length of a rolling window in seconds, 60..31,622,400; ignored for calendar windows.</summary>
    [Id(1)] public long Seconds { get; init; }

    /// <summary>The most that may be charged inside the window; not negative.</summary>
    [Id(2)] public required Money Limit { get; init; }
}

/// <summary>What to try, in order, when a tenant's budget does not allow the best route.</summary>
[JsonConverter(typeof(NamedEnumConverter<LowBudgetStep>))]
public enum LowBudgetStep
{
    /// <summary>A cheaper lane that still meets the deadline.</summary>
    CheaperLane = 0,

    /// <summary>A smaller variant at or above the quality floor.</summary>
    SmallerVariant = 1,

    /// <summary>Keep the request as a job until the window frees.</summary>
    Hold = 2,

    /// <summary>Refuse with a time to come back.</summary>
    Refuse = 3,
}

/// <summary>How a tenant's requests are routed.</summary>
[JsonConverter(typeof(NamedEnumConverter<RoutingPolicyKind>))]
public enum RoutingPolicyKind
{
    /// <summary>The cheapest candidate that meets the deadline.</summary>
    CheapestInTime = 0,

    /// <summary>High to real-time, Medium to async, Low to batch, whatever it costs and whether or not it is likely to be in time; the next more urgent lane where the model does not have one, or the request cannot use it.</summary>
    FixedRule = 1,
}

/// <summary>Who pays.</summary>
[GenerateSerializer, Immutable, Alias("oi.TenantDefinition")]
public sealed record TenantDefinition
{
    /// <summary>Unique in the catalog.</summary>
    [Id(0)] public required TenantId Id { get; init; }

    /// <summary>Budgets that all hold at once; none means no limit.</summary>
    [Id(1)] public ImmutableArray<BudgetWindowDefinition> Budgets { get; init; } = [];

    /// <summary>IANA time zone of calendar windows.</summary>
    [Id(2)] public string TimeZone { get; init; } = "UTC";

    /// <summary>The most urgent class this tenant may declare; a more urgent one is lowered to it.</summary>
    [Id(3)] public TrafficClass ClassCeiling { get; init; } = TrafficClass.High;

    /// <summary>The class of a request that declares none.</summary>
    [Id(4)] public TrafficClass DefaultClass { get; init; } = TrafficClass.High;

    /// <summary>Fair-share weight, greater than 0.</summary>
    [Id(5)] public double Weight { get; init; } = 1;

    /// <summary>Lowest quality accepted when a request names none, 0..1.</summary>
    [Id(6)] public double MinQuality { get; init; }

    /// <summary>What to try when the budget runs low, in order.</summary>
    [Id(7)] public ImmutableArray<LowBudgetStep> LowBudget { get; init; } = [LowBudgetStep.CheaperLane, LowBudgetStep.SmallerVariant, LowBudgetStep.Refuse];

    /// <summary>Models this tenant may use; empty means all.</summary>
    [Id(8)] public ImmutableArray<ModelName> Models { get; init; } = [];

    /// <summary>How its requests are routed.</summary>
    [Id(9)] public RoutingPolicyKind Routing { get; init; }

    /// <summary>When no candidate meets the deadline: true sends the request to the fastest one, false refuses it.</summary>
    [Id(10)] public bool BestEffort { get; init; }

    /// <summary>Shares of a budget's limit at which an alert is given, in percent, rising, 1..100; at most 16.</summary>
    [Id(11)] public ImmutableArray<int> AlertPercents { get; init; } = [50, 80, 100];

    /// <summary>Limits at the door, at most one for each class and one for all; those that apply hold at once.</summary>
    [Id(12)] public ImmutableArray<LimitDefinition> Limits { get; init; } = [];

    /// <summary>With <see cref="BestEffort"/>: the least probability of meeting its deadline with which a request is still sent, 0..1; one that is less likely to is refused. 0: every request is sent.</summary>
    [Id(13)] public double BestEffortProbability { get; init; }
}

/// <summary>How many requests of a tenant the whole cluster admits: a rate, a number in flight, or both.</summary>
[GenerateSerializer, Immutable, Alias("oi.LimitDefinition")]
public sealed record LimitDefinition
{
    /// <summary>The class that it is for; null: for the requests of all classes together.</summary>
    [Id(0)] public TrafficClass? Class { get; init; }

    /// <summary>Requests per second on average, up to 1,000,000; 0: no limit.</summary>
    [Id(1)] public double RequestsPerSecond { get; init; }

    /// <summary>The most requests at once that the rate allows, up to 10,000,000; 0: as many as come in a second, at least one.</summary>
    [Id(2)] public int Burst { get; init; }

    /// <summary>The most requests in flight, up to 1,000,000; 0: no limit. A job counts until it has been accepted.</summary>
    [Id(3)] public int MaxInFlight { get; init; }
}

/// <summary>Default deadlines of the classes, in seconds.</summary>
[GenerateSerializer, Immutable, Alias("oi.ClassDeadlines")]
public sealed record ClassDeadlines
{
    /// <summary>For <see cref="TrafficClass.High"/>.</summary>
    [Id(0)] public double High { get; init; } = 2;

    /// <summary>For <see cref="TrafficClass.Medium"/>.</summary>
    [Id(1)] public double Medium { get; init; } = 300;

    /// <summary>For <see cref="TrafficClass.Low"/>.</summary>
    [Id(2)] public double Low { get; init; } = 86_400;

    /// <summary>The default deadline of <paramref name="trafficClass"/> in milliseconds from arrival.</summary>
    public long MillisecondsOf(TrafficClass trafficClass) => (long)(1000 * (trafficClass switch
    {
        TrafficClass.High => High,
        TrafficClass.Medium => Medium,
        _ => Low,
    }));
}

/// <summary>Everything the operator describes: prices, models with their endpoints, tenants.</summary>
[GenerateSerializer, Immutable, Alias("oi.CatalogDefinition")]
public sealed record CatalogDefinition
{
    /// <summary>Models on offer.</summary>
    [Id(0)] public ImmutableArray<ModelDefinition> Models { get; init; } = [];

    /// <summary>Tenants served.</summary>
    [Id(1)] public ImmutableArray<TenantDefinition> Tenants { get; init; } = [];

    /// <summary>Dollars per instance-hour by instance type.</summary>
    [Id(2)] public ImmutableDictionary<string, Money> InstancePrices { get; init; } = ImmutableDictionary<string, Money>.Empty;

    /// <summary>Dollars per GB-second of serverless memory.</summary>
    [Id(3)] public Money ServerlessPerGigabyteSecond { get; init; } = Money.FromNanos(20_000);

    /// <summary>Dollars per GB in and out of serverless endpoints.</summary>
    [Id(4)] public Money ServerlessPerGigabyteTransferred { get; init; } = Money.FromNanos(16_000_000);

    /// <summary>Share added to the default tariff for the idle time of instances, not negative.</summary>
    [Id(5)] public decimal IdleMargin { get; init; } = 0.5m;

    /// <summary>Default deadlines of the classes.</summary>
    [Id(6)] public ClassDeadlines Deadlines { get; init; } = new();

    /// <summary>Probability of meeting the deadline, 0..1 exclusive, that a route must reach.</summary>
    [Id(7)] public double TargetProbability { get; init; } = 0.99;

    /// <summary>Instances that serve several models: real-time endpoints that variants name as <see cref="EndpointDefinition.Shared"/>.</summary>
    [Id(8)] public ImmutableArray<EndpointDefinition> SharedEndpoints { get; init; } = [];

    /// <summary>Dollars per GB-second of serverless memory that is kept warm (provisioned concurrency). It differs by region: there is no default.</summary>
    [Id(9)] public Money ServerlessProvisionedPerGigabyteSecond { get; init; }
}
