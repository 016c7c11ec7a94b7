namespace OrleansInference.Oracles;

/// <summary>A tenant's definition from a moment on.</summary>
/// <param name="Since">Unix ms by the ledger's clock; <see cref="long.MinValue"/> for the first.</param>
/// <param name="Definition">The budgets and the time zone.</param>
/// <param name="Leased">What was out on leases and reservations at that moment: it may still be spent, even above a limit that was lowered.</param>
public sealed record BudgetRegime(long Since, TenantDefinition Definition, Money Leased);
