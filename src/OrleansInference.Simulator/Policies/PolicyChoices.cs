using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies;

/// <summary>The policies that can be compared.</summary>
public static class PolicyChoices
{
    /// <summary>All of them, in the order in which they are reported.</summary>
    public static IReadOnlyList<PolicyChoice> All { get; } = [];
}
