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

    /// <summary>Whether the charges of a tenant that spends ahead of its budget's pace weigh in its decisions.</summary>
    public bool Paces { get; init; } = true;

    /// <summary>
    /// Silos that requests come to by turns, each of which knows its own calls, its share of the free slots and the environments that it has warmed, and what all of
    /// them do from when the endpoint was last looked at; 0: one that knows everything.
    /// </summary>
    public int Silos { get; init; }

    /// <summary>
    /// By how many seconds endpoints are first looked at later than they would be, 0..5: a cluster's grains look whenever they happened to begin, and what a plan makes
    /// of a sudden change depends on how its looks fall about it.
    /// </summary>
    public double FirstLookSeconds { get; init; }

    /// <summary>What the capacity plans use.</summary>
    public CapacityPlanOptions Plan { get; init; } = CapacityPlanOptions.Default;

    /// <summary>What a cluster does whose real-time endpoints serve deferred work: its grains plan from what silos report to them, and each endpoint's has deferred work of its own.</summary>
    /// <param name="silos">How many silos it has.</param>
    public static RoutedOptions Cluster(int silos) => new() { Name = "ours-cluster", Silos = silos };
}
