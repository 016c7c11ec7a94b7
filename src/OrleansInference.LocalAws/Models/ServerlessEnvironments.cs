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

    /// <summary>Takes an environment; the most recently used one first, so that the others may cool.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="provisioned">Environments that never cool.</param>
    public ServerlessAdmission Enter(EndpointDefinition endpoint, int provisioned)
    {
        lock (_gate)
        {
            if (_busy >= endpoint.MaxInstances)
            {
                return ServerlessAdmission.Full;
            }

            var warm = WarmIdle_NeedsLock(endpoint, provisioned) > 0;
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

    private int WarmIdle_NeedsLock(EndpointDefinition endpoint, int provisioned)
    {
        var coldBefore = clock.Now - (long)(1000 * endpoint.Simulation.KeepWarmSeconds);

        // The stack is in order of last use, so when its top has cooled, all have.
        if (_idle.TryPeek(out var last) && last < coldBefore)
        {
            _idle.Clear();
        }

        return Math.Max(_idle.Count(used => used >= coldBefore), provisioned - _busy);
    }
}
