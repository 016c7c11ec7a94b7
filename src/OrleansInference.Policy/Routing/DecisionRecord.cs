namespace OrleansInference.Routing;

/// <summary>A decision with everything it was made from, so that it can be explained and replayed. Keeps its routing table alive.</summary>
public sealed class DecisionRecord
{
    private readonly RoutingTable _table;
    private readonly RouteRequest _request;
    private readonly TenantRouting _tenant;
    private readonly CandidateLoad[] _loads;

    /// <summary>Keeps a decision; copies <paramref name="loads"/>.</summary>
    public DecisionRecord(string decisionId, TenantId tenantId, RoutingTable table, in RouteRequest request, in TenantRouting tenant, ReadOnlySpan<CandidateLoad> loads, in Decision decision)
    {
        DecisionId = decisionId;
        TenantId = tenantId;
        Decision = decision;
        _table = table;
        _request = request;
        _tenant = tenant;
        _loads = loads.ToArray();
    }

    /// <summary>Names the decision.</summary>
    public string DecisionId { get; }

    /// <summary>Who asked.</summary>
    public TenantId TenantId { get; }

    /// <summary>What was decided.</summary>
    public Decision Decision { get; }

    /// <summary>Decides again from what was kept; equals <see cref="Decision"/>.</summary>
    public Decision Replay() => Router.Decide(_table, _request, _tenant, _loads, new Quote[_table.Candidates.Length]);

    /// <summary>Decides again and explains that; says whether it is what was decided.</summary>
    public Explanation Explain()
    {
        var quotes = new Quote[_table.Candidates.Length];
        var decision = Router.Decide(_table, _request, _tenant, _loads, quotes);
        return Explainer.Explain(_table, _request, _tenant, decision, quotes, TenantId, DecisionId) with { Replayed = decision == Decision };
    }
}
