using OrleansInference.Capacity;

namespace OrleansInference.Simulator.Policies;

/// <summary>Which of the router's ideas are in use: all, but for the ablation.</summary>
public sealed record RoutedOptions
{
    /// <summary>The policy's name.</summary>
    public string Name { get; init; } = "ours";

    /// <summary>Whether full variants only are used.</summary>
    public bool FullOnly { get; init; }

    /// <summary>Whether work that can wait is put off until slots are free that are paid for anyway.</summary>
    public bool ValleyFilling { get; init; } = true;

    /// <summary>Whether deferred work is put off until its deadlines ask for it; else it is worked off in five minutes.</summary>
    public bool DeadlineBatching { get; init; } = true;

    /// <summary>What the capacity plans use.</summary>
    public CapacityPlanOptions Plan { get; init; } = CapacityPlanOptions.Default;
}
