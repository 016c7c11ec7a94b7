using System.Collections.Immutable;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Fleet;

/// <summary>
/// What is compared: decides where each request goes and how many instances there are. It sees what its world shows and never what is to come. A request that
/// it was given ends by being served (<see cref="World.Start"/>, <see cref="World.StartJob"/>) or by <see cref="World.Miss"/>.
/// </summary>
public interface IFleetPolicy
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>How it was tuned, or what was switched off; empty if nothing.</summary>
    string How => "";

    /// <summary>Adds its pools and timers.</summary>
    void Begin(World world);

    /// <summary>A request came.</summary>
    /// <param name="request">Its index in <see cref="World.Requests"/>.</param>
    void Arrived(int request);

    /// <summary>A service ended; its slot is free.</summary>
    /// <param name="request">The request; its index is used anew after this call.</param>
    /// <param name="pool">Where.</param>
    void Ended(in Request request, Pool pool);

    /// <summary>A member of a batch job was served, or cut off.</summary>
    /// <param name="request">The request; its index is used anew after this call.</param>
    /// <param name="job">Where.</param>
    void MemberEnded(in Request request, Pool job)
    {
    }

    /// <summary>Instances came into service.</summary>
    void CameIntoService(Pool pool);

    /// <summary>A batch job has ended.</summary>
    void JobEnded(Pool job);

    /// <summary>A time of <see cref="World.At"/> has come.</summary>
    void Due(int timer);

    /// <summary>No more requests come: nothing has to be kept that nothing waits for.</summary>
    void Closing();

    /// <summary>Requests that wait for a pool, for views.</summary>
    int WaitingFor(Pool pool);

    /// <summary>What became of the tenants' budgets; empty if there are none, or the policy knows none.</summary>
    ImmutableArray<BudgetResult> Budgets => [];
}

/// <summary>A policy in the choice of the command line.</summary>
/// <param name="Name">Its name.</param>
/// <param name="About">What it does, in a line.</param>
/// <param name="Make">Makes it for a scenario; it may run the scenario's first days to be tuned, which the token ends.</param>
public sealed record PolicyChoice(string Name, string About, Func<Scenario, CancellationToken, IFleetPolicy> Make)
{
    /// <summary>Makes it with other settings than those that AWS documents; null if it has none such.</summary>
    public Func<Scenario, FleetVariation, CancellationToken, IFleetPolicy>? Vary { get; init; }

    /// <summary>Whether it keeps instances of a real-time lane of every model.</summary>
    public bool NeedsRealtime { get; init; }
}

/// <summary>Settings of a fleet that its user may change.</summary>
public sealed record FleetVariation
{
    /// <summary>Minutes below its target after which an endpoint is scaled in, at least 1; target tracking's own alarm takes 15.</summary>
    public int ScaleInMinutes { get; init; } = 15;

    /// <summary>Hours whose requests are one batch job, at least 1.</summary>
    public int JobHours { get; init; } = 1;
}
