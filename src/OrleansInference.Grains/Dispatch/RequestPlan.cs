using OrleansInference.Idempotency;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>A request that passed the checks, with what its decisions are made from.</summary>
internal sealed class RequestPlan
{
    public required InferenceRequest Request { get; init; }

    public required TenantAccount Tenant { get; init; }

    public required TenantDefinition Definition { get; init; }

    /// <summary>The newest table at the time of each decision.</summary>
    public required RoutingTable Table { get; set; }

    public required long ArrivedAt { get; init; }

    public required long Deadline { get; init; }

    public required TrafficClass Class { get; init; }

    public required RouteRequest Route { get; set; }

    public required string DecisionId { get; init; }

    /// <summary>Whether it was accepted as a job.</summary>
    public bool IsJob { get; set; }

    /// <summary>The smallest charge cap that the ledger itself has refused this request, to which money on this silo's lease was of no use.</summary>
    public Money? Refused { get; set; }

    /// <summary>Set while the request runs under its idempotency key.</summary>
    public KeyedRequests.KeyedRequest? Key { get; set; }
}

/// <summary>A decision with what it was made from.</summary>
internal sealed record Routed(Decision Decision, TenantRouting Tenant, CandidateLoad[] Loads, Quote[] Quotes);
