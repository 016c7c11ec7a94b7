using OrleansInference.Hosting;

namespace OrleansInference.LocalAws.Models;

/// <summary>How a serverless endpoint takes a request.</summary>
internal enum ServerlessAdmission
{
    /// <summary>A warm environment serves it now.</summary>
    Warm = 0,

    /// <summary>A new environment has to start first.</summary>
    Cold = 1,

    /// <summary>As many environments as allowed are busy.</summary>
    Full = 2,
}

/// <summary>
/// The environments of a serverless endpoint. One serves one request at a time and stays warm for a while after it.
/// </summary>
internal sealed class ServerlessEnvironments(RouterClock clock)
{
    private readonly Stack<long> _idle = new();
    private readonly Lock _gate = new();
    private int _busy;

    /// <summary>Environments that are warm and idle, or busy.</summary>
    public int Alive(EndpointDefinition endpoint)
    {
        lock (_gate)
        {
            return _busy + WarmIdle_NeedsLock(endpoint);
        }
    }

    /// <summary>Takes an environment; the most recently used one first, so that the others may cool.</summary>
    public ServerlessAdmission Enter(EndpointDefinition endpoint)
    {
        lock (_gate)
        {
            if (_busy >= endpoint.MaxInstances)
            {
                return ServerlessAdmission.Full;
            }

            // Provisioned environments (the minimum) never cool.
            var warm = WarmIdle_NeedsLock(endpoint) > 0;
            _busy++;
            if (!warm)
            {
                return ServerlessAdmission.Cold;
            }

            _idle.TryPop(out _);
            return ServerlessAdmission.Warm;
        }
    }

    /// <summary>Gives an environment back, warm.</summary>
    public void Leave()
    {
        lock (_gate)
        {
            _busy--;
            _idle.Push(clock.Now);
        }
    }

    private int WarmIdle_NeedsLock(EndpointDefinition endpoint)
    {
        var coldBefore = clock.Now - (long)(1000 * endpoint.Simulation.KeepWarmSeconds);

        // The stack is in order of last use, so when its top has cooled, all have.
        if (_idle.TryPeek(out var last) && last < coldBefore)
        {
            _idle.Clear();
        }

        return Math.Max(_idle.Count(used => used >= coldBefore), endpoint.MinInstances - _busy);
    }
}
