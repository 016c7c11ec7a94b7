using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>A real-time endpoint whose instances follow SageMaker's <c>InvocationsPerInstance</c> by target tracking.</summary>
/// <param name="world">The world.</param>
/// <param name="endpoint">The endpoint.</param>
/// <param name="invocationsPerMinute">Target of invocations per instance and minute.</param>
/// <param name="least">Fewest instances; SageMaker's own autoscaling does not go below 1.</param>
/// <param name="scaleInMinutes">Minutes below the target before a scale-in.</param>
internal sealed class TrackedEndpoint(World world, RealtimeEndpoint endpoint, double invocationsPerMinute, int least, int scaleInMinutes = 15)
{
    private readonly TargetTracker _tracker = new(
        invocationsPerMinute,
        Math.Max(1, Math.Max(least, endpoint.Pool.LaneDefinition.MinInstances)),
        Math.Max(1, endpoint.Pool.LaneDefinition.MaxInstances),
        minutesBelow: scaleInMinutes);

    /// <summary>The endpoint.</summary>
    public RealtimeEndpoint Endpoint => endpoint;

    /// <summary>A minute is over.</summary>
    public void Scale()
    {
        if (endpoint.IsDone)
        {
            return;
        }

        var pool = endpoint.Pool;
        world.Want(pool, _tracker.Observe(endpoint.TakeInvocations(), Math.Min(pool.InService, pool.Wanted), pool.Wanted, world.NowUs, world.CanChange(pool)));
    }
}
