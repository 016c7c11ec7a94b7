using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// Batch transform by the clock: what has come in an hour is one job, with as many instances as would do it in half an hour. No more jobs at a time than the lane
/// allows; later ones wait for their turn.
/// </summary>
/// <param name="world">The world.</param>
/// <param name="model">Index of the model.</param>
/// <param name="lane">The batch lane.</param>
internal sealed class HourlyJobs(World world, int model, ScenarioLane lane)
{
    private const double AimSeconds = 1800;
    private readonly Queue<Job> _waiting = new();
    private readonly ScenarioVariant _variant = world.Scenario.Models[model].FullVariant;
    private List<int> _collected = [];
    private double _work;
    private int _running;

    /// <summary>A request joins the hour's job.</summary>
    public void Add(int index)
    {
        ref readonly var request = ref world.Requests[index];
        _work += _variant.UnloadedSeconds(request.InputTokens, request.OutputTokens);
        _collected.Add(index);
    }

    /// <summary>An hour is over.</summary>
    public void Submit()
    {
        if (_collected.Count == 0)
        {
            return;
        }

        var instances = (int)Math.Clamp(Math.Ceiling(_work / (AimSeconds * _variant.Concurrency)), 1, lane.MaxInstancesPerJob);
        _waiting.Enqueue(new(_collected, instances));
        (_collected, _work) = ([], 0);
        StartNext();
    }

    /// <summary>A job has ended.</summary>
    public void Ended()
    {
        _running--;
        StartNext();
    }

    private void StartNext()
    {
        while (_running < lane.MaxJobs && _waiting.TryDequeue(out var job))
        {
            _running++;
            world.StartJob(model, world.Scenario.Models[model].Full, lane, job.Instances, job.Members);
        }
    }

    private sealed record Job(List<int> Members, int Instances);
}
