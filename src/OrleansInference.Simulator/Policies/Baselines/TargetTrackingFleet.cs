using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>All requests real-time, instances by SageMaker's target tracking.</summary>
/// <param name="model">Index of the model.</param>
/// <param name="tracking">What is tracked.</param>
internal sealed class TargetTrackingFleet(int model, Tracking tracking) : ModelFleet(model)
{
    private TrackedEndpoint _tracked = null!;

    /// <inheritdoc/>
    public override void Arrived(int request) => _tracked.Endpoint.Invoke(request);

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool) => _tracked.Endpoint.Serve();

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool) => _tracked.Endpoint.Serve();

    /// <inheritdoc/>
    public override void Due(int timer)
    {
        if (timer == Retry)
        {
            _tracked.Endpoint.Retry();
            return;
        }

        _tracked.Scale();
        NextMinute();
    }

    /// <inheritdoc/>
    public override void Closing() => _tracked.Endpoint.Close();

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => _tracked.Endpoint.Waiting;

    /// <inheritdoc/>
    protected override void Begin()
    {
        _tracked = new(World, AddEndpoint(tracking.First), tracking.Target, tracking.Least, tracking.ScaleInMinutes);
        NextMinute();
    }
}

/// <summary>What a tracker is set to.</summary>
/// <param name="Target">Target of the metric per instance, greater than 0.</param>
/// <param name="Least">Fewest instances.</param>
/// <param name="First">Instances at the beginning.</param>
/// <param name="ScaleInMinutes">Minutes below the target before a scale-in.</param>
internal readonly record struct Tracking(double Target, int Least, int First, int ScaleInMinutes = 15);
