using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>A request that waits on a silo for a slot of an endpoint, as the endpoint's grain is told of it.</summary>
/// <param name="Id">Names it among the silo's; never used twice.</param>
/// <param name="Tenant">Whose request it is.</param>
/// <param name="Weight">The tenant's fair-share weight, greater than 0.</param>
/// <param name="Class">Its class.</param>
/// <param name="Deadline">The last moment at which a slot is of use to it, Unix ms.</param>
/// <param name="ServiceMs">Slot-milliseconds that its call is expected to take.</param>
[GenerateSerializer, Immutable, Alias("oi.SlotTicket")]
public readonly record struct SlotTicket(
    [property: Id(0)] long Id,
    [property: Id(1)] TenantId Tenant,
    [property: Id(2)] double Weight,
    [property: Id(3)] TrafficClass Class,
    [property: Id(4)] long Deadline,
    [property: Id(5)] int ServiceMs);

/// <summary>What became of a ticket.</summary>
public enum SlotVerdict
{
    /// <summary>It has a slot: the grant that comes with this holds one for it.</summary>
    Called = 0,

    /// <summary>It could not make its deadline behind those whose turn comes first, or was given up for shorter ones of its tenant that could not have made theirs.</summary>
    TooLate = 1,

    /// <summary>As many wait in its class as may.</summary>
    QueueFull = 2,

    /// <summary>As many of its tenant wait in its class as may.</summary>
    TenantFull = 3,

    /// <summary>Its last useful moment has passed.</summary>
    Expired = 4,

    /// <summary>Its turn came when its silo could not be given a slot: it is to ask again.</summary>
    AskAgain = 5,

    /// <summary>The endpoint is no more.</summary>
    Gone = 6,
}

/// <summary>The answer to a ticket.</summary>
/// <param name="Ticket">The ticket's id.</param>
/// <param name="Verdict">What became of it.</param>
/// <param name="RetryAfterMs">If it was refused: in how many milliseconds another attempt may fare better; 0 if that is not known.</param>
[GenerateSerializer, Immutable, Alias("oi.SlotAnswer")]
public readonly record struct SlotAnswer([property: Id(0)] long Ticket, [property: Id(1)] SlotVerdict Verdict, [property: Id(2)] long RetryAfterMs = 0);

/// <summary>A silo's part in an endpoint's queue, told with each slot report.</summary>
[GenerateSerializer, Immutable, Alias("oi.SlotQueueReport")]
public sealed record SlotQueueReport
{
    /// <summary>Where slots that come later are announced.</summary>
    [Id(0)] public ISlotObserver? Observer { get; init; }

    /// <summary>The queue that the silo heard of last; 0 if of none.</summary>
    [Id(1)] public long Queue { get; init; }

    /// <summary>The number of the last answers from it that were heard.</summary>
    [Id(2)] public long Heard { get; init; }

    /// <summary>Requests that wait now and have not been told of.</summary>
    [Id(3)] public ImmutableArray<SlotTicket> Joined { get; init; } = [];

    /// <summary>Tickets whose request no longer waits.</summary>
    [Id(4)] public ImmutableArray<long> Left { get; init; } = [];

    /// <summary>Calls of <see cref="TrafficClass.High"/> in flight.</summary>
    [Id(5)] public int HighInFlight { get; init; }

    /// <summary>Requests of <see cref="TrafficClass.High"/> that arrived since the last report.</summary>
    [Id(6)] public int HighArrivals { get; init; }

    /// <summary>Whether the silo's circuit breaker keeps calls off the endpoint.</summary>
    [Id(7)] public bool BreakerOpen { get; init; }

    /// <summary>Calls of <see cref="TrafficClass.Medium"/> in flight.</summary>
    [Id(8)] public int MediumInFlight { get; init; }

    /// <summary>Calls of deferred jobs in flight.</summary>
    [Id(9)] public int DeferredInFlight { get; init; }
}

/// <summary>An endpoint's queue as a silo should know it, told with each slot grant.</summary>
[GenerateSerializer, Immutable, Alias("oi.SlotQueueReply")]
public sealed record SlotQueueReply
{
    /// <summary>The queue: another one than before has forgotten those who wait, and they are to be told of again.</summary>
    [Id(0)] public long Queue { get; init; }

    /// <summary>The number of the last answer to anybody: what was heard up to it need not be told again.</summary>
    [Id(1)] public long Sequence { get; init; }

    /// <summary>The answers that the silo has not said to have heard.</summary>
    [Id(2)] public ImmutableArray<SlotAnswer> Answers { get; init; } = [];

    /// <summary>The most urgent class of which requests wait anywhere: requests of it and of less urgent ones join them, and slots that come free are given back. Null: nobody waits.</summary>
    [Id(3)] public TrafficClass? WaitingFrom { get; init; }

    /// <summary>Slots that the silo keeps free of lower classes, for <see cref="TrafficClass.High"/>.</summary>
    [Id(4)] public int Reserve { get; init; }

    /// <summary>Requests that wait for the endpoint, on all silos, by class.</summary>
    [Id(5)] public ImmutableArray<int> Waiting { get; init; } = [];

    /// <summary>Counts up with each message of the queue, so that one that was overtaken is known.</summary>
    [Id(6)] public long Message { get; init; }

    /// <summary>Who waits: the tenants with most, at most 32.</summary>
    [Id(7)] public ImmutableArray<WaitingTenant> Tenants { get; init; } = [];

    /// <summary>Slot-milliseconds that those who wait are expected to take, by class. A grain of an earlier version does not tell it.</summary>
    [Id(8)] public ImmutableArray<long> WorkMs { get; init; } = [];

    /// <summary>Of that the work of the <see cref="Tenants"/>, those of one after the other: by length of the first of them, for some 64 parts, and in one of the others, with length 0.</summary>
    [Id(9)] public ImmutableArray<WaitingWork> Work { get; init; } = [];
}

/// <summary>Requests of a tenant, a class and a length that wait for an endpoint, on all silos.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Weight">Its fair-share weight in the class, greater than 0.</param>
/// <param name="Class">The class.</param>
/// <param name="Length">The power of two, in milliseconds, that the call of each is expected to take at least.</param>
/// <param name="WorkMs">Slot-milliseconds that they are expected to take.</param>
[GenerateSerializer, Immutable, Alias("oi.WaitingWork")]
public readonly record struct WaitingWork([property: Id(0)] TenantId Tenant, [property: Id(1)] double Weight, [property: Id(2)] TrafficClass Class, [property: Id(3)] int Length, [property: Id(4)] long WorkMs);

/// <summary>Requests of a tenant that wait for an endpoint, on all silos.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Weight">Its fair-share weight.</param>
/// <param name="High">Of <see cref="TrafficClass.High"/>.</param>
/// <param name="Medium">Of <see cref="TrafficClass.Medium"/>.</param>
/// <param name="Low">Of <see cref="TrafficClass.Low"/>.</param>
[GenerateSerializer, Immutable, Alias("oi.WaitingTenant")]
public readonly record struct WaitingTenant([property: Id(0)] TenantId Tenant, [property: Id(1)] double Weight, [property: Id(2)] int High, [property: Id(3)] int Medium, [property: Id(4)] int Low)
{
    /// <summary>Of all classes.</summary>
    [JsonIgnore] public int Total => High + Medium + Low;

    /// <summary>Those of a class.</summary>
    public int Of(TrafficClass trafficClass) => trafficClass switch
    {
        TrafficClass.High => High,
        TrafficClass.Medium => Medium,
        _ => Low,
    };
}

/// <summary>Takes what an endpoint's grain announces to a silo.</summary>
[Alias("oi.ISlotObserver")]
public interface ISlotObserver : IGrainObserver
{
    /// <summary>Slots of an endpoint were granted, or the silo's requests should wait their turn from now on.</summary>
    [Alias("OnGrant")] Task OnGrant(EndpointName endpoint, LeaseGrant grant);
}
