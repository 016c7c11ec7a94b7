using System.Collections.Immutable;

namespace OrleansInference.Routing;

/// <summary>Everything about a tenant that a decision depends on.</summary>
public readonly record struct TenantRouting
{
    /// <summary>Weight of the charge in the score, 0 or more.</summary>
    public double Pacing { get; init; }

    /// <summary>The most urgent class the tenant may use.</summary>
    public TrafficClass ClassCeiling { get; init; }

    /// <summary>How to choose.</summary>
    public RoutingPolicyKind Policy { get; init; }

    /// <summary>When nothing meets the deadline: true takes the likeliest candidate, false none.</summary>
    public bool BestEffort { get; init; }

    /// <summary>With <see cref="BestEffort"/>: the least probability of being in time at which a candidate is taken, 0..1.</summary>
    public double BestEffortProbability { get; init; }

    /// <summary>The largest charge cap that the tenant's budget can cover now; null: no limit.</summary>
    public Money? MaxAffordableCap { get; init; }

    /// <summary>What the ledger said when an amount was too much for it; null: not known to be short.</summary>
    public BudgetShortage? Shortage { get; init; }

    /// <summary>What may be given up, in order, when the best route is not affordable. Ends at the first <see cref="LowBudgetStep.Hold"/> or <see cref="LowBudgetStep.Refuse"/>.</summary>
    public ImmutableArray<LowBudgetStep> LowBudget { get; init; }

    /// <summary>The tenant as its lease describes it.</summary>
    public static TenantRouting From(TenantDefinition tenant, double pacing, Money? maxAffordableCap)
    {
        ArgumentNullException.ThrowIfNull(tenant);
        return new()
        {
            Pacing = pacing,
            ClassCeiling = tenant.ClassCeiling,
            Policy = tenant.Routing,
            BestEffort = tenant.BestEffort,
            BestEffortProbability = tenant.BestEffortProbability,
            MaxAffordableCap = maxAffordableCap,
            LowBudget = tenant.LowBudget,
        };
    }
}
