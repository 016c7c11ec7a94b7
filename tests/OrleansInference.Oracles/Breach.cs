namespace OrleansInference.Oracles;

/// <summary>A promise that the audit log shows to have been broken.</summary>
/// <param name="Promise">Which: P1 never overspent, P2 charged once.</param>
/// <param name="Tenant">Whose money.</param>
/// <param name="What">What is wrong, with the amounts and times to find it.</param>
public sealed record Breach(string Promise, TenantId Tenant, string What)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Promise} broken for tenant '{Tenant}': {What}";
}
