using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>A baseline: a fleet for each model.</summary>
/// <param name="name">Its name.</param>
/// <param name="how">How it was tuned.</param>
/// <param name="fleets">Fleets of models; a model that has none gets no requests.</param>
internal sealed class BaselinePolicy(string name, string how, params IReadOnlyList<ModelFleet> fleets) : IFleetPolicy
{
    private ModelFleet[] _byModel = [];
    private ModelFleet[] _byTenant = [];

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public string How => how;

    /// <summary>The world that it runs in.</summary>
    public World? World { get; private set; }

    /// <inheritdoc/>
    public void Begin(World world)
    {
        World = world;
        _byModel = new ModelFleet[world.Scenario.Models.Length];
        foreach (var fleet in fleets)
        {
            _byModel[fleet.Model] = fleet;
            fleet.Begin(world);
        }

        _byTenant = [.. world.ModelOf.Select(model => _byModel[model])];
    }

    /// <inheritdoc/>
    public void Arrived(int request) => _byTenant[World!.Requests[request].Tenant].Arrived(request);

    /// <inheritdoc/>
    public void Ended(in Request request, Pool pool) => _byModel[pool.ModelIndex].Ended(request, pool);

    /// <inheritdoc/>
    public void CameIntoService(Pool pool) => _byModel[pool.ModelIndex].CameIntoService(pool);

    /// <inheritdoc/>
    public void JobEnded(Pool job) => _byModel[job.ModelIndex].JobEnded();

    /// <inheritdoc/>
    public void Due(int timer) => _byModel[timer / ModelFleet.Timers].Due(timer % ModelFleet.Timers);

    /// <inheritdoc/>
    public void Closing()
    {
        foreach (var fleet in fleets)
        {
            fleet.Closing();
        }
    }

    /// <inheritdoc/>
    public int WaitingFor(Pool pool) => _byModel[pool.ModelIndex].WaitingFor(pool);
}
