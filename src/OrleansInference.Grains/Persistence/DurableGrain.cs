using Orleans.Concurrency;
using OrleansInference.Hosting;

namespace OrleansInference.Persistence;

/// <summary>
/// A reentrant grain that persists before it answers. A write that fails, most of all one that conflicts with another
/// activation's, ends this activation: what it held in memory and had not persisted has not happened.
/// </summary>
/// <typeparam name="TState">What is stored.</typeparam>
[Reentrant]
internal abstract class DurableGrain<TState> : Grain
{
    private static readonly TimeSpan MinTimer = TimeSpan.FromMilliseconds(100);

    private readonly IPersistentState<TState> _storage;
    private readonly GroupWriter _writer;
    private bool _hasFailed;

    protected DurableGrain(IPersistentState<TState> storage, RouterClock clock)
    {
        _storage = storage;
        Clock = clock;
        _writer = new(WriteNowAsync);
    }

    protected RouterClock Clock { get; }

    protected TState Stored => _storage.State;

    protected bool HasFailed => _hasFailed;

    /// <summary>What is to be stored now, from what the grain holds in memory.</summary>
    protected abstract TState Capture();

    /// <summary>Throws if this activation has lost its right to answer.</summary>
    protected void RequireAlive()
    {
        if (_hasFailed)
        {
            throw new OrleansException($"{this.GetGrainId()} could not write its state and is being restarted; try again.");
        }
    }

    /// <summary>Completes when everything changed so far is durable.</summary>
    protected Task PersistAsync()
    {
        RequireAlive();
        return _writer.WriteAsync();
    }

    /// <summary>A timer period or delay on the wall, at least a tenth of a second.</summary>
    protected TimeSpan ToTimer(TimeSpan routerTime)
    {
        var wall = Clock.ToWall(routerTime);
        return wall < MinTimer ? MinTimer : wall;
    }


    private async Task WriteNowAsync()
    {
        RequireAlive();
        try
        {
            _storage.State = Capture();
            await _storage.WriteStateAsync();
        }
        catch
        {
            _hasFailed = true;
            DeactivateOnIdle();
            throw;
        }
    }
}
