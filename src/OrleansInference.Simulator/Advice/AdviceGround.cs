using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>What advisers look at: the scenario, what runs today and what it came to model by model.</summary>
internal sealed record AdviceGround
{
    /// <summary>The whole scenario.</summary>
    public required Scenario Scenario { get; init; }

    /// <summary>What runs today.</summary>
    public required PolicyChoice Policy { get; init; }

    /// <summary>The router; null if it is not among the policies.</summary>
    public PolicyChoice? Router { get; init; }

    /// <summary>By model, by index.</summary>
    public required ImmutableArray<ModelToday> Today { get; init; }

    /// <summary>How the tenants send, by index.</summary>
    public required ImmutableArray<TenantTraffic> Traffic { get; init; }

    /// <summary>Whether the router runs today: it picks variants and lanes by itself.</summary>
    public bool IsRouted => Policy.Name == "ours" || Policy.Name.StartsWith("ours-", StringComparison.Ordinal);

    /// <summary>Dollars in 30 days of what came up in the simulated days.</summary>
    public double Monthly(Money cost) => (double)cost.ToDollars() * 30 / Scenario.Days;

    /// <summary>A scenario with some models and their tenants only; what they send is the same.</summary>
    public static Scenario Only(Scenario whole, params ReadOnlySpan<int> models)
    {
        var kept = ImmutableArray.CreateBuilder<ScenarioModel>();
        foreach (var index in models)
        {
            kept.Add(whole.Models[index]);
        }

        bool IsKept(ScenarioTenant tenant) => kept.Any(model => model.Model == tenant.Model);

        // A ServeGen client is drawn on its own; of other traces each tenant has its share of all requests.
        return whole with
        {
            IsBilledToTheEnd = true,
            Models = kept.ToImmutable(),
            Tenants = whole.Trace.Format == TraceFormat.ServeGen
                ? [.. whole.Tenants.Where(IsKept)]
                : [.. whole.Tenants.Select(tenant => IsKept(tenant) ? tenant : tenant with { Model = kept[0].Model, MinQuality = 0, IsSilent = true })],
        };
    }

    /// <summary>A changed scenario under the policy of today.</summary>
    public TrialPart Unchanged(Scenario changed) => new(changed, Policy.Make);
}
