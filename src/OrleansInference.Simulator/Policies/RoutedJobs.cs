using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies;

/// <summary>The transform jobs of a model's closed windows: no more at a time than the lane allows; later ones wait for their turn.</summary>
/// <param name="world">The world.</param>
/// <param name="model">Index of the model.</param>
/// <param name="lane">The batch lane.</param>
/// <param name="miss">Gives up a request.</param>
internal sealed class RoutedJobs(World world, int model, ScenarioLane lane, Action<int> miss)
{
    private readonly Queue<RoutedWindow> _waiting = new();
    private readonly Dictionary<int, RoutedWindow> _running = [];

    /// <summary>A window has closed.</summary>
    public void Add(RoutedWindow window)
    {
        _waiting.Enqueue(window);
        StartNext();
    }

    /// <summary>A member was served; at which endpoint.</summary>
    /// <param name="request">The member.</param>
    /// <param name="sizeClass">Its size class.</param>
    /// <param name="job">Where.</param>
    public EndpointDefinition MemberEnded(in Request request, int sizeClass, Pool job)
    {
        // Of a record that is cut off there is no answer that tells its time.
        var window = _running[job.Index];
        if (!request.IsCutOff)
        {
            window.Services.Add((sizeClass, (world.NowUs - request.StartedUs) / 1000.0));
        }

        return window.Endpoint.Definition;
    }

    /// <summary>A job has ended.</summary>
    public void Ended(Pool job)
    {
        _running.Remove(job.Index, out var window);
        window!.Endpoint.Told(window.Policy.OverheadOf(window.Members.Count, (world.NowUs - window.StartedUs) / 1000.0), window.Services);
        StartNext();
    }

    private void StartNext()
    {
        while (_running.Count < lane.MaxJobs && _waiting.TryDequeue(out var window))
        {
            if (window.Policy.IsWorthless(world.NowMs))
            {
                foreach (var member in window.Members)
                {
                    miss(member);
                }

                continue;
            }

            var job = world.StartJob(model, window.Endpoint.Variant, lane, window.Policy.Instances, window.Members);
            window.Policy.Started(world.NowMs);
            window.StartedUs = world.NowUs;
            _running.Add(job.Index, window);
        }
    }
}
