using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>A scenario that comes with the product.</summary>
/// <param name="Name">Its name.</param>
/// <param name="About">What it is.</param>
internal sealed record ShippedScenario(string Name, string About);

/// <summary>What the commands work with.</summary>
internal sealed record Bench
{
    /// <summary>The policies to choose from, in the order in which they are reported.</summary>
    public required IReadOnlyList<PolicyChoice> Policies { get; init; }

    /// <summary>Reads a scenario by its file or by the name of a shipped one.</summary>
    /// <exception cref="ScenarioException">There is none such, or it cannot be used.</exception>
    public required Func<string, ScenarioOverrides, Scenario> Read { get; init; }

    /// <summary>The shipped scenarios.</summary>
    public required Func<IReadOnlyList<ShippedScenario>> Shipped { get; init; }

    /// <summary>What no policy can be cheaper than; null where that is not known.</summary>
    public Func<Scenario, Action<double>, CancellationToken, LowerBoundResult>? LowerBound { get; init; }
}
