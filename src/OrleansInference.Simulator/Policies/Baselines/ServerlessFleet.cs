using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>All requests of a model on serverless executions of the full variant; who finds all of them busy waits in line.</summary>
/// <param name="model">Index of the model.</param>
internal sealed class ServerlessFleet(int model) : ModelFleet(model)
{
    private readonly RequestQueue _queue = new();
    private Pool _pool = null!;

    /// <inheritdoc/>
    public override void Arrived(int request)
    {
        if (_queue.Count == 0 && _pool.InUse < _pool.Slots)
        {
            World.Start(request, _pool);
        }
        else
        {
            _queue.Add(request, World.NowUs);
        }
    }

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool)
    {
        while (_queue.Count > 0 && _pool.InUse < _pool.Slots)
        {
            World.Start(_queue.Take(), _pool);
        }
    }

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool)
    {
    }

    /// <inheritdoc/>
    public override void Due(int timer)
    {
    }

    /// <inheritdoc/>
    public override void Closing()
    {
    }

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => _queue.Count;

    /// <inheritdoc/>
    protected override void Begin() => _pool = World.AddPool(Model, Definition.Full, Definition.LaneOf(Lane.Serverless)!);
}
