using System.Collections.Immutable;

namespace OrleansInference.Simulator.Advice;

/// <summary>What kind of waste an advice is about.</summary>
internal enum AdviceKind
{
    /// <summary>Endpoints that idle.</summary>
    IdleEndpoint,

    /// <summary>Instances larger than needed.</summary>
    SmallerInstances,

    /// <summary>Traffic declared urgent whose callers could wait.</summary>
    UrgentTraffic,

    /// <summary>Models that could share an endpoint.</summary>
    Consolidation,

    /// <summary>Starts avoided at a higher price than they have, or made too often.</summary>
    ColdStarts,

    /// <summary>Batch jobs of so few requests that their start is much of the bill.</summary>
    BatchWindows,

    /// <summary>Routing each request by price and deadline.</summary>
    Routing,

    /// <summary>More instances than the load takes.</summary>
    OverProvisioned,

    /// <summary>Instances that are given up and wanted again soon after.</summary>
    Flapping,
}

/// <summary>What a fleet costs, and how much of it answers in time.</summary>
/// <param name="UsdPerMonth">Dollars in 30 days.</param>
/// <param name="Attainment">By class; null where there are no requests.</param>
internal sealed record FleetFigures(double UsdPerMonth, ImmutableArray<double?> Attainment);

/// <summary>A change that was simulated, with its figures.</summary>
/// <param name="Change">The change in a few words.</param>
/// <param name="After">What the fleet comes to with it.</param>
/// <param name="SavesUsdPerMonth">What it saves.</param>
/// <param name="Missed">Classes that it would push below their targets.</param>
internal sealed record SimulatedChange(string Change, FleetFigures After, double SavesUsdPerMonth, ImmutableArray<TrafficClass> Missed);

/// <summary>One advice: what is wasted, what was seen, what to do and what that saves.</summary>
internal sealed record Advice
{
    /// <summary>What it is about.</summary>
    public required AdviceKind Kind { get; init; }

    /// <summary>The model, models, tenant or endpoint.</summary>
    public required string Subject { get; init; }

    /// <summary>Dollars that it saves in 30 days.</summary>
    public required double SavesUsdPerMonth { get; init; }

    /// <summary>What is wasted.</summary>
    public required string What { get; init; }

    /// <summary>The numbers seen.</summary>
    public required string Why { get; init; }

    /// <summary>What to do.</summary>
    public required string Do { get; init; }

    /// <summary>Whether the saving is computed from figures rather than simulated.</summary>
    public bool IsEstimate { get; init; }

    /// <summary>What is concerned as it is; null of an estimate.</summary>
    public FleetFigures? Before { get; init; }

    /// <summary>And with the change; null of an estimate.</summary>
    public FleetFigures? After { get; init; }

    /// <summary>Classes that it would push below their targets: it is named, and not to be followed as it stands.</summary>
    public ImmutableArray<TrafficClass> Missed { get; init; } = [];

    /// <summary>Every change that was simulated for it.</summary>
    public ImmutableArray<SimulatedChange> Simulated { get; init; } = [];
}

/// <summary>All that was found.</summary>
internal sealed record AdviceReport
{
    /// <summary>The scenario, or the file of statistics.</summary>
    public required string Source { get; init; }

    /// <summary>What runs today; null where that is a cluster.</summary>
    public string? Policy { get; init; }

    /// <summary>Simulated days; null where nothing was simulated.</summary>
    public double? Days { get; init; }

    /// <summary>Factor on arrival rates; null where nothing was simulated.</summary>
    public double? RateScale { get; init; }

    /// <summary>Seed; null where nothing was simulated.</summary>
    public ulong? Seed { get; init; }

    /// <summary>What the fleet costs today; null where that is not known.</summary>
    public FleetFigures? Today { get; init; }

    /// <summary>The most that a single advice to be followed saves.</summary>
    public double LargestUsdPerMonth => Advices.IsEmpty ? 0 : Advices[0].SavesUsdPerMonth;

    /// <summary>What is advised, the largest saving first.</summary>
    public required ImmutableArray<Advice> Advices { get; init; }

    /// <summary>What would save money and push a class below its target.</summary>
    public ImmutableArray<Advice> HeldBack { get; init; } = [];

    /// <summary>Fleets that were simulated.</summary>
    public int Simulations { get; init; }
}
