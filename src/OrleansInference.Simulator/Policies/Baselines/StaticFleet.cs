using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>All requests real-time on a number of instances that never changes.</summary>
/// <param name="model">Index of the model.</param>
/// <param name="instances">Instances.</param>
internal sealed class StaticFleet(int model, int instances) : ModelFleet(model)
{
    private RealtimeEndpoint _endpoint = null!;

    /// <inheritdoc/>
    public override void Arrived(int request) => _endpoint.Invoke(request);

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool) => _endpoint.Serve();

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool) => _endpoint.Serve();

    /// <inheritdoc/>
    public override void Due(int timer) => _endpoint.Retry();

    /// <inheritdoc/>
    public override void Closing() => _endpoint.Close();

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => _endpoint.Waiting;

    /// <inheritdoc/>
    protected override void Begin() => _endpoint = AddEndpoint(instances);
}
