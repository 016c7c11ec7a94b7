using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>What a baseline does for one model. Models share nothing, so each is tuned on its own.</summary>
/// <param name="model">Index of the model.</param>
internal abstract class ModelFleet(int model)
{
    /// <summary>Timers of a model.</summary>
    public const int Timers = 4;

    /// <summary>The timer of each minute.</summary>
    protected const int Minute = 0;

    /// <summary>The timer of callers that come again.</summary>
    protected const int Retry = 1;

    /// <summary>The timer of each hour.</summary>
    protected const int Hour = 2;

    private const long MinuteUs = 60_000_000;

    /// <summary>Index of the model.</summary>
    public int Model { get; } = model;

    /// <summary>The world.</summary>
    protected World World { get; private set; } = null!;

    /// <summary>The model as the scenario has it.</summary>
    protected ScenarioModel Definition => World.Scenario.Models[Model];

    /// <summary>Adds pools and timers.</summary>
    public void Begin(World world)
    {
        World = world;
        Begin();
    }

    /// <summary>A request came.</summary>
    public abstract void Arrived(int request);

    /// <summary>A service ended in a pool of the model.</summary>
    public abstract void Ended(in Request request, Pool pool);

    /// <summary>Instances came into service.</summary>
    public abstract void CameIntoService(Pool pool);

    /// <summary>A job has ended.</summary>
    public virtual void JobEnded()
    {
    }

    /// <summary>A timer of the model has come.</summary>
    public abstract void Due(int timer);

    /// <summary>No more requests come.</summary>
    public abstract void Closing();

    /// <summary>Requests that wait for a pool.</summary>
    public abstract int WaitingFor(Pool pool);

    /// <summary>Adds pools and timers.</summary>
    protected abstract void Begin();

    /// <summary>The world's number of a timer of this model.</summary>
    protected int TimerOf(int kind) => (Model * Timers) + kind;

    /// <summary>Asks for the next minute's timer.</summary>
    protected void NextMinute() => World.At(World.NowUs + MinuteUs, TimerOf(Minute));

    /// <summary>Adds the real-time endpoint of the full variant.</summary>
    /// <param name="instances">Instances in service from the beginning.</param>
    /// <param name="overflow">Serverless executions that take what finds no free slot.</param>
    protected RealtimeEndpoint AddEndpoint(int instances, Pool? overflow = null)
    {
        var lane = RealtimeLane(Definition);
        var pool = World.AddPool(Model, Definition.Full, lane, Math.Min(instances, lane.MaxInstances));
        return new(World, pool, new(World, TimerOf(Retry), $"retries of {Definition.Model}"), overflow);
    }

    /// <summary>The real-time lane of a model.</summary>
    /// <exception cref="ArgumentException">It has none.</exception>
    public static ScenarioLane RealtimeLane(ScenarioModel model) =>
        model.LaneOf(Lane.Realtime) ?? throw new ArgumentException($"Model '{model.Model}' has no real-time lane; the baselines need one.", nameof(model));
}
