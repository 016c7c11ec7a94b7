using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Measures;

/// <summary>What a policy came to on a scenario.</summary>
public sealed record PolicyResult
{
    /// <summary>The policy.</summary>
    public required string Name { get; init; }

    /// <summary>How it was tuned, or what was switched off; empty if nothing.</summary>
    public string How { get; init; } = "";

    /// <summary>What AWS bills.</summary>
    public required Money Cost { get; init; }

    /// <summary>By <see cref="TrafficClass"/>.</summary>
    public required ImmutableArray<ClassTally> Classes { get; init; }

    /// <summary>Billed instance-hours.</summary>
    public required double InstanceHours { get; init; }

    /// <summary>Share of the billed slot-time in which a request was served, 0..1.</summary>
    public required double Utilization { get; init; }

    /// <summary>Changes of the number of instances wanted.</summary>
    public required int ScaleChanges { get; init; }

    /// <summary>Cost by lane.</summary>
    public required ImmutableArray<(Lane Lane, Money Cost, long Served)> Lanes { get; init; }

    /// <summary>What each variant cost in each lane, and for how much of that it was busy.</summary>
    public required ImmutableArray<PoolSum> Pools { get; init; }

    /// <summary>Cost by tenant, by index: each pool's cost shared by the slot-time that the tenants used of it.</summary>
    public required ImmutableArray<Money> TenantCosts { get; init; }

    /// <summary>By tenant, by index.</summary>
    public required ImmutableArray<TenantTally> Tenants { get; init; }

    /// <summary>By model, by index: steps of <see cref="World.StepUs"/>.</summary>
    public required ImmutableArray<ImmutableArray<LoadPoint>> Timeline { get; init; }

    /// <summary>Wall seconds that the simulation took; not part of what is written.</summary>
    public double WallSeconds { get; init; }

    /// <summary>Requests of all classes, those that no lane can serve not among them.</summary>
    public long Requests => Classes.Sum(static tally => tally.Requests);

    /// <summary>Requests that no lane can serve.</summary>
    public long Infeasible => Classes.Sum(static tally => tally.Infeasible);
}

/// <summary>A model's load, capacity and queue at the end of a step.</summary>
/// <param name="Slots">Slots in service.</param>
/// <param name="InUse">Slots in use.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Missed">Requests that were not answered in time during the step.</param>
public readonly record struct LoadPoint(int Slots, int InUse, int Waiting, int Missed = 0);

/// <summary>What a variant came to in a lane.</summary>
/// <param name="Model">Index of the model.</param>
/// <param name="Variant">Index of the variant.</param>
/// <param name="Lane">The lane.</param>
/// <param name="Cost">What AWS bills.</param>
/// <param name="Hours">Billed instance-hours; serverless: hours of executions.</param>
/// <param name="Utilization">Share of the billed slot-time in which a request was served, 0..1.</param>
/// <param name="Served">Requests served.</param>
/// <param name="Starts">Serverless: executions that started cold; batch: instances of all jobs; else 0.</param>
public readonly record struct PoolSum(int Model, int Variant, Lane Lane, Money Cost, double Hours, double Utilization, long Served, long Starts = 0);
