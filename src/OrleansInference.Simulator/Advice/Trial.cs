using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>One change to simulate. Changes of the same kind and subject are choices: the one that saves most becomes the advice.</summary>
internal sealed record Trial
{
    /// <summary>What it is about.</summary>
    public required AdviceKind Kind { get; init; }

    /// <summary>The model, models or tenant.</summary>
    public required string Subject { get; init; }

    /// <summary>The change in a few words.</summary>
    public required string Change { get; init; }

    /// <summary>What is wasted.</summary>
    public required string What { get; init; }

    /// <summary>The numbers seen.</summary>
    public required string Why { get; init; }

    /// <summary>What to do.</summary>
    public required string Do { get; init; }

    /// <summary>Indices of the models whose fleets of today it replaces.</summary>
    public required ImmutableArray<int> Models { get; init; }

    /// <summary>The fleets to compare with, where those are not the fleets of today.</summary>
    public ImmutableArray<TrialPart> Against { get; init; } = [];

    /// <summary>The fleets that it puts in their place.</summary>
    public required ImmutableArray<TrialPart> Parts { get; init; }
}

/// <summary>A fleet to simulate: a scenario and the policy for it.</summary>
internal sealed record TrialPart(Scenario Scenario, Func<Scenario, CancellationToken, IFleetPolicy> Make);

/// <summary>A model's fleet of today.</summary>
/// <param name="Index">Index of the model in the whole scenario.</param>
/// <param name="Scenario">The scenario of that model only.</param>
/// <param name="Result">What it came to.</param>
internal sealed record ModelToday(int Index, Scenario Scenario, PolicyResult Result)
{
    /// <summary>The model.</summary>
    public ScenarioModel Model => Scenario.Models[0];

    /// <summary>Tenants that send requests.</summary>
    public IEnumerable<ScenarioTenant> Tenants => Scenario.Tenants.Where(static tenant => !tenant.IsSilent);

    /// <summary>What the variants in a lane came to, together.</summary>
    public IEnumerable<PoolSum> PoolsOf(Lane lane) => Result.Pools.Where(pool => pool.Lane == lane);
}

/// <summary>Finds changes of one kind that are worth simulating.</summary>
internal interface IAdviser
{
    /// <summary>Changes worth simulating; none if nothing of the kind is seen.</summary>
    IEnumerable<Trial> Look(AdviceGround ground);
}
