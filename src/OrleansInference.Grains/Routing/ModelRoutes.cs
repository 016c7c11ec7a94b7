using OrleansInference.Capacity;
using OrleansInference.Leases;

namespace OrleansInference.Routing;

/// <summary>A model's routing table with this silo's accounts of its endpoints. Immutable; swapped whole.</summary>
internal sealed class ModelRoutes
{
    private readonly EndpointAccount[] _accounts;
    private readonly ModelResidency.Entry?[]? _residents;

    public ModelRoutes(RoutingTable table, EndpointAccounts accounts)
    {
        Table = table;
        _accounts = [.. table.Candidates.Select(candidate => accounts.Get(candidate.Endpoint.SlotsName))];
        if (table.Candidates.Any(static candidate => candidate.Endpoint.TargetModel is not null))
        {
            _residents = [.. table.Candidates.Select(ResidentOf)];
        }
    }

    public RoutingTable Table { get; }

    /// <summary>This silo's account of a candidate's endpoint.</summary>
    public EndpointAccount AccountOf(Candidate candidate) => _accounts[candidate.Index];

    /// <summary>The candidate's model in the memory of its shared endpoint; null if it has instances of its own.</summary>
    public ModelResidency.Entry? ResidentOnShared(Candidate candidate) => _residents?[candidate.Index];

    /// <summary>What this silo knows of each candidate when a request of a tenant is decided, by index.</summary>
    public void ReadLoads(Span<CandidateLoad> loads, in RouteRequest request, TenantId tenant, double weight)
    {
        var sizeClass = Table.SizeClassOf(request.InputTokens, request.MaxOutputTokens);
        for (var i = 0; i < _accounts.Length; i++)
        {
            var candidate = Table.Candidates[i];
            var (status, endpoint) = (candidate.Status, candidate.Endpoint);
            var version = status?.Version ?? 0;
            loads[i] = _accounts[i].LoadFor(request.Class, request.Now, version, tenant, weight, candidate.Service(sizeClass).Mean);
            if (endpoint is { TakesDeferred: true, Draining: false })
            {
                loads[i] = loads[i] with { DeferredWorkMs = (status?.DeferredWorkMs ?? 0) + _accounts[i].DeferredSince(version) };
            }
        }

        if (_residents is not null)
        {
            for (var i = 0; i < _residents.Length; i++)
            {
                if (_residents[i] is { IsLoaded: false })
                {
                    loads[i] = loads[i] with { ModelMissing = true };
                }
            }
        }
    }

    private ModelResidency.Entry? ResidentOf(Candidate candidate)
    {
        if (candidate.Endpoint.TargetModel is not { } target)
        {
            return null;
        }

        var residency = AccountOf(candidate).Residency;
        residency.Capacity = Math.Max(1, candidate.Endpoint.LoadedModels);
        residency.Merge(candidate.Status?.Loaded ?? []);
        return residency.Of(target);
    }
}
