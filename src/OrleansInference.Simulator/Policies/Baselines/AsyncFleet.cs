using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>All requests of a model on an asynchronous endpoint that goes down to none.</summary>
/// <param name="model">Index of the model.</param>
/// <param name="tracking">Target tracking of the backlog.</param>
internal sealed class AsyncFleet(int model, Tracking tracking) : ModelFleet(model)
{
    private AsyncEndpoint _endpoint = null!;

    /// <inheritdoc/>
    public override void Arrived(int request) => _endpoint.Invoke(request);

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool) => _endpoint.Serve();

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool) => _endpoint.Serve();

    /// <inheritdoc/>
    public override void Due(int timer)
    {
        _endpoint.Scale();
        NextMinute();
    }

    /// <inheritdoc/>
    public override void Closing() => _endpoint.Close();

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => _endpoint.Waiting;

    /// <inheritdoc/>
    protected override void Begin()
    {
        var lane = Definition.LaneOf(Lane.Async)!;
        _endpoint = new(World, World.AddPool(Model, Definition.Full, lane, Math.Min(tracking.First, lane.MaxInstances)), tracking);
        NextMinute();
    }
}
