using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>What becomes of a write.</summary>
public enum WriteFate
{
    /// <summary>Another activation has written first: nothing is stored.</summary>
    Refused = 0,

    /// <summary>It is stored and reported as failed.</summary>
    Stored = 1,

    /// <summary>It is stored and reported as failed, and from then on that state is out of reach.</summary>
    StoredThenDown = 2,

    /// <summary>Nothing is stored, and from then on that state is out of reach.</summary>
    RefusedThenDown = 3,
}

/// <summary>
/// A grain storage that lets another activation's write come first: told to, it answers the next write of a state as a storage does whose
/// record has moved on, or whose answer was lost.
/// </summary>
internal sealed class ConflictingStorage
{
    private readonly ConcurrentDictionary<string, (Func<object?, bool> When, WriteFate Fate)> _next = new();
    private readonly ConcurrentDictionary<string, bool> _down = new();
    private readonly ConcurrentDictionary<string, bool> _clears = new();
    private int _conflicts;

    public int Conflicts => Volatile.Read(ref _conflicts);

    /// <summary>The next write of the named state that <paramref name="when"/> picks meets its fate.</summary>
    public void OnNextWrite<TState>(string stateName, Func<TState, bool> when, WriteFate fate = WriteFate.Refused) =>
        _next[stateName] = (state => state is TState typed && when(typed), fate);

    /// <summary>The next deletion of the named state is refused.</summary>
    public void OnNextClear(string stateName) => _clears[stateName] = true;

    /// <summary>The named state is in reach again.</summary>
    public void Recover(string stateName) => _down.TryRemove(stateName, out _);

    public void Decorate(IServiceCollection services)
    {
        var inner = services.Last(descriptor => descriptor.ServiceType == typeof(IGrainStorage) && Equals(descriptor.ServiceKey, OrleansInferenceOptions.StorageName));
        services.Remove(inner);
        services.AddKeyedSingleton<IGrainStorage>(
            OrleansInferenceOptions.StorageName,
            (provider, key) => new Storage(this, (IGrainStorage)(inner.KeyedImplementationFactory is { } make ? make(provider, key) : ActivatorUtilities.CreateInstance(provider, inner.KeyedImplementationType!))));
    }

    private WriteFate? FateOf(string stateName, object? state)
    {
        RequireReach(stateName);
        if (!_next.TryGetValue(stateName, out var next) || !next.When(state) || !_next.TryRemove(stateName, out _))
        {
            return null;
        }

        Interlocked.Increment(ref _conflicts);
        if (next.Fate is WriteFate.StoredThenDown or WriteFate.RefusedThenDown)
        {
            _down[stateName] = true;
        }

        return next.Fate;
    }

    private void RequireReach(string stateName)
    {
        if (_down.ContainsKey(stateName))
        {
            throw new IOException($"the storage of '{stateName}' is out of reach");
        }
    }

    private sealed class Storage(ConflictingStorage world, IGrainStorage inner) : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle observer) => (inner as ILifecycleParticipant<ISiloLifecycle>)?.Participate(observer);

        public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            world.RequireReach(stateName);
            return inner.ReadStateAsync(stateName, grainId, grainState);
        }

        public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            var fate = world.FateOf(stateName, grainState.State);
            if (fate is not (WriteFate.Refused or WriteFate.RefusedThenDown))
            {
                await inner.WriteStateAsync(stateName, grainId, grainState);
            }

            if (fate is not null)
            {
                throw new InconsistentStateException("another activation wrote first", "2", "1");
            }
        }

        public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            if (world._clears.TryRemove(stateName, out _))
            {
                Interlocked.Increment(ref world._conflicts);
                throw new InconsistentStateException("another activation wrote first", "2", "1");
            }

            return inner.ClearStateAsync(stateName, grainId, grainState);
        }
    }
}
