using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Policies.Baselines;

namespace OrleansInference.Simulator.Policies;

/// <summary>The policies that can be compared.</summary>
public static class PolicyChoices
{
    /// <summary>All of them, in the order in which they are reported.</summary>
    public static IReadOnlyList<PolicyChoice> All { get; } =
    [
        .. BaselineChoices.All,
        Ours("The router.", new()),
        Ours("The router with full variants only.", new() { Name = "ours-full", FullOnly = true }),
        Ours("The router without valley filling: work that could wait takes the lane that is cheapest now.", new() { Name = "ours-no-valleys", ValleyFilling = false }),
    ];

    private static PolicyChoice Ours(string about, RoutedOptions options) => new(options.Name, about, _ => new RoutedPolicy(options));
}
