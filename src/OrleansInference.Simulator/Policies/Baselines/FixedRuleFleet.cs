using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>
/// High real-time, Medium asynchronous, Low in hourly batch jobs; each lane scaled as AWS does it. A High request that takes longer than a real-time invocation
/// may goes the asynchronous way. A lane that the model does not have is replaced by the next faster one.
/// </summary>
/// <param name="model">Index of the model.</param>
/// <param name="realtime">Target tracking of the real-time endpoint: invocations per minute.</param>
/// <param name="asynchronous">Target tracking of the asynchronous endpoint: backlog.</param>
/// <param name="jobHours">Hours whose requests are one batch job.</param>
internal sealed class FixedRuleFleet(int model, Tracking realtime, Tracking asynchronous, int jobHours = 1) : ModelFleet(model)
{
    private const long HourUs = 3_600_000_000;
    private TrackedEndpoint _realtime = null!;
    private AsyncEndpoint? _async;
    private HourlyJobs? _jobs;

    /// <inheritdoc/>
    public override void Arrived(int request)
    {
        ref readonly var arrived = ref World.Requests[request];
        if (arrived.Class == TrafficClass.Low && _jobs is not null)
        {
            _jobs.Add(request);
        }
        else if (_async is not null && (arrived.Class != TrafficClass.High || IsLong(Definition, arrived.InputTokens, arrived.OutputTokens)))
        {
            _async.Invoke(request);
        }
        else
        {
            _realtime.Endpoint.Invoke(request);
        }
    }

    /// <inheritdoc/>
    public override void Ended(in Request request, Pool pool) => Serve(pool);

    /// <inheritdoc/>
    public override void CameIntoService(Pool pool) => Serve(pool);

    /// <inheritdoc/>
    public override void JobEnded() => _jobs?.Ended();

    /// <inheritdoc/>
    public override void Due(int timer)
    {
        switch (timer)
        {
            case Retry:
                _realtime.Endpoint.Retry();
                break;
            case Hour:
                _jobs?.Submit();
                World.At(World.NowUs + (jobHours * HourUs), TimerOf(Hour));
                break;
            default:
                _realtime.Scale();
                _async?.Scale();
                NextMinute();
                break;
        }
    }

    /// <inheritdoc/>
    public override void Closing()
    {
        _realtime.Endpoint.Close();
        _async?.Close();
    }

    /// <inheritdoc/>
    public override int WaitingFor(Pool pool) => pool == _realtime.Endpoint.Pool ? _realtime.Endpoint.Waiting : _async?.Waiting ?? 0;

    /// <summary>Whether a request takes longer than a real-time invocation may.</summary>
    public static bool IsLong(ScenarioModel model, int inputTokens, int outputTokens) =>
        model.FullVariant.UnloadedSeconds(inputTokens, outputTokens) > RealtimeLane(model).MaxServiceSeconds;

    /// <inheritdoc/>
    protected override void Begin()
    {
        _realtime = new(World, AddEndpoint(realtime.First), realtime.Target, realtime.Least, realtime.ScaleInMinutes);
        if (Definition.LaneOf(Lane.Async) is { } lane)
        {
            _async = new(World, World.AddPool(Model, Definition.Full, lane, Math.Min(asynchronous.First, lane.MaxInstances)), asynchronous);
        }

        if (Definition.LaneOf(Lane.Batch) is { } batch)
        {
            _jobs = new(World, Model, batch);
            World.At(jobHours * HourUs, TimerOf(Hour));
        }

        NextMinute();
    }

    private void Serve(Pool pool)
    {
        if (pool == _realtime.Endpoint.Pool)
        {
            _realtime.Endpoint.Serve();
        }
        else
        {
            _async?.Serve();
        }
    }
}
