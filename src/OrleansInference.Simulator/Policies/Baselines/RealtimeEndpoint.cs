using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// A real-time endpoint as SageMaker has it: one queue in the containers, first come, first served, that nobody can reorder. Who finds it full is answered 503,
/// who waits longer than an invocation may take is answered an error, and both come again (<see cref="Retries"/>).
/// </summary>
/// <param name="world">The world.</param>
/// <param name="pool">Its instances.</param>
/// <param name="retries">Callers that come again.</param>
internal sealed class RealtimeEndpoint(World world, Pool pool, Retries retries)
{
    /// <summary>Requests that wait per instance: TorchServe's default of <c>job_queue_size</c>.</summary>
    public const int QueuePerInstance = 100;

    private readonly RequestQueue _queue = new();
    private readonly long _longestWaitUs = pool.LimitUs;
    private readonly Pool? _overflow;
    private bool _isClosing;

    /// <summary>An endpoint beside which serverless executions take what finds no free slot.</summary>
    public RealtimeEndpoint(World world, Pool pool, Retries retries, Pool? overflow)
        : this(world, pool, retries) => _overflow = overflow;

    /// <summary>Its instances.</summary>
    public Pool Pool { get; } = pool;

    /// <summary>Requests that wait.</summary>
    public int Waiting => _queue.Count;

    /// <summary>Whether no more requests come and none waits or comes again.</summary>
    public bool IsDone => _isClosing && _queue.Count == 0 && retries.Count == 0;

    /// <summary>Invocations since they were last taken, those of retries among them.</summary>
    public int Invocations { get; private set; }

    /// <summary>Takes the count of invocations.</summary>
    public int TakeInvocations()
    {
        var taken = Invocations;
        Invocations = 0;
        return taken;
    }

    /// <summary>A request, or a retry, is sent here.</summary>
    public void Invoke(int index)
    {
        Invocations++;
        if (_queue.Count == 0 && Pool.InUse < Pool.Slots)
        {
            world.Start(index, Pool);
            return;
        }

        if (_overflow is not null && _overflow.InUse < _overflow.Slots && _overflow.ServiceUs(world.Requests[index]) <= _overflow.LimitUs)
        {
            world.Start(index, _overflow);
            return;
        }

        if (_queue.FirstSinceUs < world.NowUs - _longestWaitUs)
        {
            Serve();
        }

        if (_queue.Count >= QueuePerInstance * Pool.InService)
        {
            retries.TurnAway(index);
        }
        else
        {
            _queue.Add(index, world.NowUs);
        }
    }

    /// <summary>Slots may have become free.</summary>
    public void Serve()
    {
        while (_queue.Count > 0)
        {
            if (_queue.FirstSinceUs < world.NowUs - _longestWaitUs)
            {
                retries.TurnAway(_queue.Take());
            }
            else if (Pool.InUse < Pool.Slots)
            {
                world.Start(_queue.Take(), Pool);
            }
            else
            {
                return;
            }
        }

        ReleaseIfDone();
    }

    /// <summary>Callers come again.</summary>
    public void Retry()
    {
        while (retries.TryTake(out var index))
        {
            Invoke(index);
        }

        retries.Rearm();
        ReleaseIfDone();
    }

    /// <summary>No more requests come: instances go when nobody waits.</summary>
    public void Close()
    {
        _isClosing = true;
        ReleaseIfDone();
    }

    private void ReleaseIfDone()
    {
        if (IsDone)
        {
            world.Want(Pool, 0);
        }
    }
}
