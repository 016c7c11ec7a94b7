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
    private TState? _empty;

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

    /// <summary>What is to be read before the state is captured and written.</summary>
    protected virtual Task PrepareAsync() => Task.CompletedTask;

    /// <summary>Writes what is stored apart from the state, while that is being written; called after <see cref="Capture"/>. Fails as that write does.</summary>
    protected virtual Task WriteBesideAsync() => Task.CompletedTask;

    /// <summary>
    /// Keeps <paramref name="empty"/> in place of what is stored from now on: for a grain that holds all of it in another form,
    /// and of which there are so many that a second copy counts.
    /// </summary>
    protected void DropStored(TState empty) => _storage.State = _empty = empty;

    /// <summary>Reads the state if the activation that this one was moved from had dropped it.</summary>
    protected Task ReadIfDroppedAsync(TState empty) => _storage.RecordExists && Equals(_storage.State, empty) ? _storage.ReadStateAsync() : Task.CompletedTask;

    /// <summary>Throws, so that the activation fails, if a newer release has stored the state in a form that is not known here.</summary>
    protected void RequireKnownForm() => StoredForm.RequireKnown(_storage.State, this.GetGrainId());

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
            await PrepareAsync();
            _storage.State = Capture();
            await Task.WhenAll(_storage.WriteStateAsync(), WriteBesideAsync());
            if (_empty is not null)
            {
                _storage.State = _empty;
            }
        }
        catch
        {
            _hasFailed = true;
            DeactivateOnIdle();
            throw;
        }
    }
}
