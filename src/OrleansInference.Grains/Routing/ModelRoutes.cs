using OrleansInference.Leases;

namespace OrleansInference.Routing;

/// <summary>A model's routing table with this silo's accounts of its endpoints. Immutable; swapped whole.</summary>
internal sealed class ModelRoutes(RoutingTable table, EndpointAccounts accounts)
{
    private readonly EndpointAccount[] _accounts = [.. table.Candidates.Select(candidate => accounts.Get(candidate.Endpoint.Name))];

    public RoutingTable Table => table;

    /// <summary>This silo's account of a candidate's endpoint.</summary>
    public EndpointAccount AccountOf(Candidate candidate) => _accounts[candidate.Index];

    /// <summary>What this silo knows of each candidate now, by index.</summary>
    public void ReadLoads(Span<CandidateLoad> loads, TrafficClass trafficClass, long now)
    {
        for (var i = 0; i < _accounts.Length; i++)
        {
            loads[i] = _accounts[i].LoadFor(trafficClass, now, table.Candidates[i].Status?.Version ?? 0);
        }
    }
}
