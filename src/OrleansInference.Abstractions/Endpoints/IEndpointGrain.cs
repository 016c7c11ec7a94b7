using System.Collections.Immutable;

namespace OrleansInference;

/// <summary>An endpoint's configuration, as the catalog hands it to its grain.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointConfiguration")]
public sealed record EndpointConfiguration
{
    /// <summary>The model it serves; of a shared endpoint the first of <see cref="Models"/>.</summary>
    [Id(0)] public required ModelName Model { get; init; }

    /// <summary>The variant it serves.</summary>
    [Id(1)] public required VariantName Variant { get; init; }

    /// <summary>The endpoint.</summary>
    [Id(2)] public required EndpointDefinition Endpoint { get; init; }

    /// <summary>Operator's cost of one instance-second (for serverless: of one execution-second).</summary>
    [Id(3)] public Money InstanceSecondCost { get; init; }

    /// <summary>Operator's cost of one execution-second of a serverless endpoint that is kept warm.</summary>
    [Id(5)] public Money ProvisionedSecondCost { get; init; }

    /// <summary>Of a shared endpoint: every model it serves. Empty elsewhere.</summary>
    [Id(4)] public ImmutableArray<ModelName> Models { get; init; } = [];

    /// <summary>
    /// Real-time: what a request costs the operator where it is cheapest of the endpoints that serve all that this one does, in line and at no lower quality, over what it costs on a slot here that is always in use; 0: there is no
    /// such endpoint, or the configuration is of an earlier version.
    /// </summary>
    [Id(6)] public double SpillRatio { get; init; }

    /// <summary>How many requests are served there at a time, at most.</summary>
    [Id(7)] public int SpillSlots { get; init; }
}

/// <summary>What a silo tells an endpoint with each slot lease report.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointDemand")]
public sealed record EndpointDemand
{
    /// <summary>Requests that arrived for it since the last report.</summary>
    [Id(0)] public int Arrivals { get; init; }

    /// <summary>Requests that ended since the last report.</summary>
    [Id(1)] public int Completions { get; init; }

    /// <summary>Of them throttled by AWS.</summary>
    [Id(2)] public int Throttled { get; init; }

    /// <summary>Of them failed by AWS (not by the model).</summary>
    [Id(3)] public int Failed { get; init; }

    /// <summary>Sum of slot-milliseconds used by them.</summary>
    [Id(4)] public long BusyMilliseconds { get; init; }

    /// <summary>Requests that wait for a slot on this silo.</summary>
    [Id(5)] public int Waiting { get; init; }

    /// <summary>What AWS bills for them beyond instances: serverless use, since the last report.</summary>
    [Id(6)] public Money UseCost { get; init; }

    /// <summary>Charges settled on this endpoint since the last report.</summary>
    [Id(7)] public Money Charged { get; init; }

    /// <summary>Of the completions those that gave a prediction.</summary>
    [Id(8)] public int Predictions { get; init; }

    /// <summary>Of a shared endpoint: the models that were used since the last report.</summary>
    [Id(9)] public ImmutableArray<ModelUsed> Used { get; init; } = [];

    /// <summary>Sum of slot-milliseconds of the completions that the model ran to their end: those that gave a prediction, and those that nobody waited for any more.</summary>
    [Id(10)] public long AnsweredMilliseconds { get; init; }

    /// <summary>Slot-milliseconds that those were expected to take, from what calls of their sizes took before.</summary>
    [Id(11)] public long ExpectedMilliseconds { get; init; }

    /// <summary>How many those are.</summary>
    [Id(13)] public int Whole { get; init; }

    /// <summary>The silo's part in the queue; null from silos of an earlier version.</summary>
    [Id(12)] public SlotQueueReport? Queue { get; init; }

    /// <summary>The same by class; null from silos of an earlier version.</summary>
    [Id(14)] public ClassDemand? Classes { get; init; }

    /// <summary>Calls of deferred jobs that ended; they are in none of the counts of demand.</summary>
    [Id(15)] public int DeferredCompletions { get; init; }

    /// <summary>Of an async endpoint: requests that were turned away and would have been its jobs, had it had instances. They are not among the arrivals, for they do not end.</summary>
    [Id(16)] public int Refused { get; init; }

    /// <summary>Slot-milliseconds that those were expected to take.</summary>
    [Id(17)] public long RefusedMilliseconds { get; init; }

    /// <summary>Requests that an endpoint with more slots would have served; null from silos of an earlier version.</summary>
    [Id(18)] public SpilledDemand? Spilled { get; init; }
}

/// <summary>Requests that an endpoint would have served, had it had more slots: those that were served elsewhere and would have been cheaper here, which are in none of the other counts, and those that were turned away.</summary>
[GenerateSerializer, Immutable, Alias("oi.SpilledDemand")]
public sealed record SpilledDemand
{
    /// <summary>How many were served elsewhere.</summary>
    [Id(0)] public int Requests { get; init; }

    /// <summary>Slot-milliseconds that those would have taken.</summary>
    [Id(1)] public long Milliseconds { get; init; }

    /// <summary>Of them those of High.</summary>
    [Id(2)] public int UrgentRequests { get; init; }

    /// <summary>Slot-milliseconds that those would have taken.</summary>
    [Id(3)] public long UrgentMilliseconds { get; init; }

    /// <summary>How many were turned away; they are among the arrivals.</summary>
    [Id(4)] public int TurnedAway { get; init; }
}

/// <summary>Of an <see cref="EndpointDemand"/> what is of which class, and how long the requests that came can wait.</summary>
[GenerateSerializer, Immutable, Alias("oi.ClassDemand")]
public sealed record ClassDemand
{
    /// <summary>Requests of High that arrived.</summary>
    [Id(0)] public int UrgentArrivals { get; init; }

    /// <summary>Requests of High that ended.</summary>
    [Id(1)] public int UrgentCompletions { get; init; }

    /// <summary>Slot-milliseconds that those used.</summary>
    [Id(2)] public long UrgentBusyMilliseconds { get; init; }

    /// <summary>Slot-milliseconds that all that arrived are expected to take.</summary>
    [Id(3)] public long ArrivedMilliseconds { get; init; }

    /// <summary>Sum of the times for which those of High that arrived can wait for a slot and still be in time, in milliseconds.</summary>
    [Id(4)] public long UrgentSlackMilliseconds { get; init; }

    /// <summary>Requests of Medium that arrived.</summary>
    [Id(5)] public int MediumArrivals { get; init; }

    /// <summary>Sum of the times for which those can wait.</summary>
    [Id(6)] public long MediumSlackMilliseconds { get; init; }

    /// <summary>The same of those of Low.</summary>
    [Id(7)] public long LowSlackMilliseconds { get; init; }
}

/// <summary>An endpoint as it stands.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointView")]
public sealed record EndpointView
{
    /// <summary>Configuration.</summary>
    [Id(0)] public required EndpointConfiguration Configuration { get; init; }

    /// <summary>Capacity.</summary>
    [Id(1)] public required EndpointStatus Status { get; init; }

    /// <summary>Slots out on leases, by holder.</summary>
    [Id(2)] public ImmutableDictionary<string, long> Leases { get; init; } = ImmutableDictionary<string, long>.Empty;

    /// <summary>Why the wanted instance count last changed.</summary>
    [Id(3)] public string LastChange { get; init; } = "";

    /// <summary>What AWS has billed for it so far, as booked from its capacity timeline.</summary>
    [Id(4)] public Money Cost { get; init; }

    /// <summary>What tenants were charged on it so far.</summary>
    [Id(5)] public Money Charged { get; init; }

    /// <summary>Requests it answered so far.</summary>
    [Id(6)] public long Predictions { get; init; }

    /// <summary>The true cost per prediction: <see cref="Cost"/> over <see cref="Predictions"/>, rounded up; null before the first.</summary>
    [Id(7)] public Money? CostPerPrediction { get; init; }

    /// <summary>The slots, and who waits for them.</summary>
    [Id(8)] public SlotsView? Slots { get; init; }

    /// <summary>The instances; null for lanes without any to keep.</summary>
    [Id(9)] public CapacityView? Capacity { get; init; }
}

/// <summary>An endpoint's slots and who waits for them.</summary>
[GenerateSerializer, Immutable, Alias("oi.SlotsView")]
public sealed record SlotsView
{
    /// <summary>Slots of what is in service.</summary>
    [Id(0)] public int Offered { get; init; }

    /// <summary>Slots that may be in use: fewer while the endpoint throttles or its latency is inflated.</summary>
    [Id(1)] public int Limit { get; init; }

    /// <summary>Why the limit last changed; empty if it never did.</summary>
    [Id(2)] public string LimitReason { get; init; } = "";

    /// <summary>Slots that lower classes leave free for <see cref="TrafficClass.High"/>.</summary>
    [Id(3)] public int Headroom { get; init; }

    /// <summary>Slots out on leases.</summary>
    [Id(4)] public long Leased { get; init; }

    /// <summary>Slots in use, as last reported.</summary>
    [Id(5)] public long InUse { get; init; }

    /// <summary>How long a call takes on average, in seconds.</summary>
    [Id(6)] public double ServiceSeconds { get; init; }

    /// <summary>Requests that wait, by class.</summary>
    [Id(7)] public ImmutableDictionary<TrafficClass, int> Waiting { get; init; } = ImmutableDictionary<TrafficClass, int>.Empty;

    /// <summary>Requests that wait, by tenant; those with most first, at most 100.</summary>
    [Id(8)] public ImmutableArray<WaitingTenant> WaitingByTenant { get; init; } = [];

    /// <summary>Silos whose circuit breaker keeps calls off the endpoint.</summary>
    [Id(9)] public ImmutableArray<string> OpenBreakers { get; init; } = [];

    /// <summary>Jobs that wait for slots which are free anyway; of those that registered since the actor began.</summary>
    [Id(10)] public int Deferred { get; init; }
}

/// <summary>An endpoint's instances, and what the router makes of them.</summary>
[GenerateSerializer, Immutable, Alias("oi.CapacityView")]
public sealed record CapacityView
{
    /// <summary>SageMaker's status, such as InService, Updating or Failed; empty before it has been asked.</summary>
    [Id(0)] public string Status { get; init; } = "";

    /// <summary>Why nothing is changed now, in words; null if something could be.</summary>
    [Id(1)] public string? Hold { get; init; }

    /// <summary>Instances in service.</summary>
    [Id(2)] public int InService { get; init; }

    /// <summary>Instances that SageMaker was told to have.</summary>
    [Id(3)] public int Reported { get; init; }

    /// <summary>Instances that the router wants.</summary>
    [Id(4)] public int Wanted { get; init; }

    /// <summary>When it last changed its mind; null if it never did.</summary>
    [Id(5)] public DateTimeOffset? ChangedAt { get; init; }

    /// <summary>Requests per second expected when an instance that is asked for now would serve: the mean.</summary>
    [Id(6)] public double ExpectedRate { get; init; }

    /// <summary>Requests per second that will hardly be exceeded then.</summary>
    [Id(7)] public double HighRate { get; init; }

    /// <summary>Variance over mean of the calls in progress; 1 for Poisson arrivals.</summary>
    [Id(8)] public double Peakedness { get; init; }

    /// <summary>Slots needed then.</summary>
    [Id(9)] public int NeededSlots { get; init; }

    /// <summary>Seconds from asking for an instance until it serves.</summary>
    [Id(10)] public double LeadSeconds { get; init; }

    /// <summary>Seconds that an instance is kept after it was last needed.</summary>
    [Id(11)] public double KeepSeconds { get; init; }

    /// <summary>How many times instances were wanted again soon after their release.</summary>
    [Id(12)] public int Flaps { get; init; }
}


/// <summary>Owns an endpoint's slots and wanted capacity. Key: the endpoint's name.</summary>
[Alias("oi.IEndpointGrain")]
public interface IEndpointGrain : IGrainWithStringKey
{
    /// <summary>Sets the configuration and begins to keep the capacity.</summary>
    [Alias("Configure")] Task Configure(EndpointConfiguration configuration);

    /// <summary>Takes a holder's slot report and demand, and grants slots. Null if there is no such endpoint.</summary>
    [Alias("Refill")] Task<LeaseGrant?> Refill(LeaseReport report, EndpointDemand demand);

    /// <summary>Books what AWS billed for work done outside slots (a transform job), the charges and the predictions it gave.</summary>
    [Alias("Book")] Task Book(string bookingId, Money cost, Money charged, int predictions);

    /// <summary>The endpoint as it stands; null if there is none of that name.</summary>
    [Alias("GetView")] Task<EndpointView?> GetView();

    /// <summary>
    /// Lets a job wait for a slot that is free anyway; its <see cref="IJobGrain.Begin"/> is called when its turn has come. Harmless when repeated. Nothing of it is stored:
    /// a job registers again now and then. False if the endpoint serves none, or too many wait.
    /// </summary>
    [Alias("Defer")] Task<bool> Defer(DeferredJob job);

    /// <summary>The call of a job whose turn had come has ended, or the job needs no turn any more.</summary>
    /// <param name="jobKey">Key of the job grain.</param>
    /// <param name="hasFailed">Whether AWS did not serve it: turns then come one at a time until one is served.</param>
    [Alias("DeferredEnded")] Task DeferredEnded(string jobKey, bool hasFailed);
}

/// <summary>A job that waits for a slot of a real-time endpoint which is free anyway.</summary>
/// <param name="JobKey">Key of the job grain.</param>
/// <param name="LastBegin">The last moment at which its call should begin, Unix ms.</param>
/// <param name="ServiceMs">Milliseconds that its call is expected to take.</param>
[GenerateSerializer, Immutable, Alias("oi.DeferredJob")]
public readonly record struct DeferredJob([property: Id(0)] string JobKey, [property: Id(1)] long LastBegin, [property: Id(2)] int ServiceMs);
