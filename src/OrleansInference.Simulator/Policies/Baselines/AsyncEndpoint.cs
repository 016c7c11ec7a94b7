using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// An asynchronous endpoint with the autoscaling that AWS documents for it (SageMaker developer guide, "Autoscale an asynchronous endpoint"): target tracking on
/// <c>ApproximateBacklogSizePerInstance</c>, which counts what waits and what is being processed, with ten minutes between scale-ins; down to zero when it is
/// empty; and from zero one instance once <c>HasBacklogWithoutCapacity</c> has been seen for two minutes. First come, first served.
/// </summary>
/// <param name="world">The world.</param>
/// <param name="pool">Its instances.</param>
/// <param name="tracking">Backlog per instance, and instances.</param>
internal sealed class AsyncEndpoint(World world, Pool pool, Tracking tracking)
{
    private const int MinutesWithoutCapacity = 2;
    private const double CooldownSeconds = 600;
    private readonly RequestQueue _queue = new();
    private readonly TargetTracker _tracker = new(tracking.Target, Math.Max(tracking.Least, pool.LaneDefinition.MinInstances), pool.LaneDefinition.MaxInstances, CooldownSeconds);
    private bool _isClosing;
    private int _withoutCapacity;

    /// <summary>Requests that wait.</summary>
    public int Waiting => _queue.Count;

    /// <summary>A request is sent here.</summary>
    public void Invoke(int index)
    {
        if (_queue.Count == 0 && pool.InUse < pool.Slots)
        {
            world.Start(index, pool);
        }
        else
        {
            _queue.Add(index, world.NowUs);
        }
    }

    /// <summary>Slots may have become free.</summary>
    public void Serve()
    {
        while (_queue.Count > 0 && pool.InUse < pool.Slots)
        {
            world.Start(_queue.Take(), pool);
        }

        ReleaseIfDone();
    }

    /// <summary>A minute is over.</summary>
    public void Scale()
    {
        if (_isClosing && _queue.Count == 0)
        {
            return;
        }

        if (pool.Wanted > 0)
        {
            _withoutCapacity = 0;

            // Of no instance there is no backlog per instance.
            if (pool.InService > 0)
            {
                world.Want(pool, _tracker.Observe(_queue.Count + pool.InUse, Math.Min(pool.InService, pool.Wanted), pool.Wanted, world.NowUs, world.CanChange(pool)));
            }

            return;
        }

        _withoutCapacity = _queue.Count > 0 ? _withoutCapacity + 1 : 0;
        if (_withoutCapacity >= MinutesWithoutCapacity)
        {
            world.Want(pool, 1);
        }
    }

    /// <summary>No more requests come: instances go when nobody waits.</summary>
    public void Close()
    {
        _isClosing = true;
        ReleaseIfDone();
    }

    private void ReleaseIfDone()
    {
        if (_isClosing && _queue.Count == 0)
        {
            world.Want(pool, 0);
        }
    }
}
