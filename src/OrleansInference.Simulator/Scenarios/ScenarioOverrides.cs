namespace OrleansInference.Simulator.Scenarios;

/// <summary>What a run sets in place of what the scenario says. Null: as the scenario says.</summary>
public sealed record ScenarioOverrides
{
    /// <summary>Days, greater than 0.</summary>
    public double? Days { get; init; }

    /// <summary>Factor on all arrival rates, greater than 0.</summary>
    public double? RateScale { get; init; }

    /// <summary>Seed.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Whether an endpoint of which instances are coming cannot be changed.</summary>
    public bool? OneChangeAtATime { get; init; }
}
