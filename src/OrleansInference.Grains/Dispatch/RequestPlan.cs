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

    /// <summary>The model's routes on this silo when the request arrived, or when it was last decided anew.</summary>
    public required ModelRoutes Routes { get; set; }

    public RoutingTable Table => Routes.Table;

    public required long ArrivedAt { get; init; }

    public required long Deadline { get; init; }

    public required TrafficClass Class { get; init; }

    public required RouteRequest Route { get; set; }

    /// <summary>The next decision is made at this moment.</summary>
    public void DecideAt(long now)
    {
        if (Route.Now != now)
        {
            Route = Route with { Now = now };
        }
    }

    /// <summary>Goes on with newer routes; what was tried is not tried again under them.</summary>
    public void Renew(ModelRoutes routes)
    {
        var excluded = 0UL;
        foreach (var candidate in routes.Table.Candidates)
        {
            foreach (var tried in Table.Candidates)
            {
                excluded |= (Route.Excluded & (1UL << tried.Index)) != 0 && tried.Endpoint.Name == candidate.Endpoint.Name ? 1UL << candidate.Index : 0;
            }
        }

        Routes = routes;
        Route = Route with { Excluded = excluded };
    }

    public required string DecisionId { get; init; }

    /// <summary>Whether its decisions are kept, the last of them in place of the others; null before the first.</summary>
    public bool? IsLogged { get; set; }

    /// <summary>Whether the endpoints that it spills over from have been told: a request counts once, however often it is decided.</summary>
    public bool IsSpillTold { get; set; }

    /// <summary>The route by a decision.</summary>
    /// <param name="candidate">The candidate that was decided for, or that the request is held for.</param>
    /// <param name="decision">The decision.</param>
    /// <param name="cap">The candidate's charge cap.</param>
    /// <param name="charge">What was charged, as far as it is known.</param>
    public RouteTaken RouteOn(Candidate candidate, in Decision decision, Money cap, Money charge) => new()
    {
        DecisionId = DecisionId,
        Class = decision.Class,
        Lane = candidate.Lane,
        Endpoint = candidate.Endpoint.Name,
        Variant = candidate.Variant,
        ChargeCap = cap,
        ProbabilityInTime = decision.ProbabilityInTime,
        Charge = charge,
    };

    /// <summary>Of a second try beside a first: the request's id, which is the first's decision.</summary>
    public string? HedgeOf { get; init; }

    /// <summary>A plan for a second try beside this one, with a decision of its own.</summary>
    public RequestPlan Hedge(in RouteRequest route) => new()
    {
        Request = Request,
        Tenant = Tenant,
        Definition = Definition,
        Routes = Routes,
        ArrivedAt = ArrivedAt,
        Deadline = Deadline,
        Class = Class,
        Route = route,
        DecisionId = DecisionId + "-hedge",
        HedgeOf = DecisionId,
        Place = Place,
    };

    /// <summary>Its place within its tenant's limits; null if there are none.</summary>
    public Limits.DoorPlace? Place { get; set; }

    /// <summary>Whether it was accepted as a job.</summary>
    public bool IsJob { get; set; }

    /// <summary>The smallest charge cap that the ledger itself has refused this request, to which money on this silo's lease was of no use.</summary>
    public Money? Refused { get; set; }

    /// <summary>How many requests like this one are charged at most what is decided for with it: of a batch, whose records share one decision, more than one.</summary>
    public long Alike { get; set; } = 1;

    /// <summary>What all of them need.</summary>
    public Money OfAll(Money one) => Money.FromNanos((long)Int128.Min((Int128)one.Nanos * Alike, long.MaxValue));

    /// <summary>What there is for each of them; null: not known to be short.</summary>
    public Money? OfEach(Money? all) => all is { } money ? Money.FromNanos(money.Nanos / Alike) : null;

    /// <summary>The stream, if one was asked for and has begun.</summary>
    public StreamedCall? Stream { get; set; }

    /// <summary>Set while the request runs under its idempotency key.</summary>
    public KeyedRequests.KeyedRequest? Key { get; set; }
}

/// <summary>A decision.</summary>
/// <param name="Decision">What was decided.</param>
/// <param name="Candidate">The chosen candidate, or the one that the request is to be held for; null if there is neither.</param>
/// <param name="ChargeCap">Its charge cap.</param>
/// <param name="ServiceMs">Its expected service time in milliseconds.</param>
/// <param name="Problem">Without a candidate: the refusal.</param>
internal readonly record struct Routed(Decision Decision, Candidate? Candidate, Money ChargeCap, double ServiceMs, InferenceProblem? Problem)
{
    /// <summary>Whether the request becomes a job on the candidate.</summary>
    public bool IsJob => Decision.IsDeferred || Candidate is { Lane: Lane.Async or Lane.Batch };
}
