using OrleansInference.Budgets;

namespace OrleansInference.Tenants;

/// <summary>
/// What a host registers to learn that a budget has reached one of its tenant's thresholds: to send mail, say, or to stop a
/// customer. Each threshold of each window is raised once per period; it is durable before it is raised, so a crash in
/// between loses the call, but not what the budget's view shows.
/// </summary>
public interface IBudgetEvents
{
    /// <summary>A threshold was reached. Called on the silo of the tenant's grain, within its turn: hand the event on and return. What it throws is logged.</summary>
    void Reached(BudgetAlert alert);
}
