using System.Collections.Immutable;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Policies on the same ground, and what each came to.</summary>
internal sealed record Comparison
{
    /// <summary>The policy that others are held against: what SageMaker itself offers.</summary>
    public const string Yardstick = "target-tracking";

    /// <summary>The ground.</summary>
    public required Scenario Scenario { get; init; }

    /// <summary>What no policy can be cheaper than that answers every request in time; null if that is not known.</summary>
    public Money? LowerBound { get; init; }

    /// <summary>By policy, in the order asked for.</summary>
    public required ImmutableArray<PolicyResult> Policies { get; init; }

    /// <summary>What each policy does, in a line, by its name.</summary>
    public ImmutableDictionary<string, string> About { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>The command that gives this comparison again.</summary>
    public string Command { get; init; } = "";

    /// <summary>A cost as a multiple of <see cref="Yardstick"/>'s; null if it was not run.</summary>
    public double? ToYardstick(Money cost) => Ratio(cost, Policies.FirstOrDefault(static policy => policy.Name == Yardstick)?.Cost);

    /// <summary>A policy's cost as a multiple of the least for what it attained; null if that is not known or zero.</summary>
    public static double? ToLowerBound(PolicyResult policy) => Ratio(policy.Cost, policy.LowerBound);

    private static double? Ratio(Money cost, Money? to) => to is { Nanos: > 0 } other ? (double)cost.Nanos / other.Nanos : null;
}
