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
        Ours("The router's policy with all its ideas.", new()),
        Ours("The router with full variants only.", new() { Name = "ours-full", FullOnly = true }),
        Ours("The router without valley filling: work that could wait takes the lane that is cheapest now.", new() { Name = "ours-no-valleys", ValleyFilling = false }),
        Ours("The router without deadline batching: deferred work is worked off within minutes.", new() { Name = "ours-no-batching", DeadlineBatching = false }),
        Ours("The router without pacing: a tenant's charges weigh nothing until its budget is spent.", new() { Name = "ours-no-pacing", Paces = false }),
        Ours("The router without forecast: the load is taken to stay as it is.", new() { Name = "ours-no-forecast", Plan = new() { Forecasts = false } }),
        Ours("The router without ski rental: instances are released as soon as they are not needed.", new() { Name = "ours-no-ski-rental", Plan = new() { KeepsIdle = false } }),
        Ours("The router as a cluster of three silos does it: each silo knows its own calls, and each endpoint has its own deferred work.", RoutedOptions.Cluster(3)),
    ];

    private static PolicyChoice Ours(string about, RoutedOptions options) => new(options.Name, about, (_, _) => new RoutedPolicy(options));
}
