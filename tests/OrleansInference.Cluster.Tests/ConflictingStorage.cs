using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>
/// A grain storage that lets another activation's write come first: told to, it answers the next write of a state as a storage does whose
/// record has moved on.
/// </summary>
internal sealed class ConflictingStorage
{
    private readonly ConcurrentDictionary<string, Func<object?, bool>> _next = new();
    private int _conflicts;

    public int Conflicts => Volatile.Read(ref _conflicts);

    /// <summary>The next write of the named state that <paramref name="when"/> picks conflicts.</summary>
    public void OnNextWrite<TState>(string stateName, Func<TState, bool> when) => _next[stateName] = state => state is TState typed && when(typed);

    public void Decorate(IServiceCollection services)
    {
        var inner = services.Last(descriptor => descriptor.ServiceType == typeof(IGrainStorage) && Equals(descriptor.ServiceKey, OrleansInferenceOptions.StorageName));
        services.Remove(inner);
        services.AddKeyedSingleton<IGrainStorage>(
            OrleansInferenceOptions.StorageName,
            (provider, key) => new Storage(this, (IGrainStorage)(inner.KeyedImplementationFactory is { } make ? make(provider, key) : ActivatorUtilities.CreateInstance(provider, inner.KeyedImplementationType!))));
    }

    private void Write(string stateName, object? state)
    {
        if (_next.TryGetValue(stateName, out var when) && when(state) && _next.TryRemove(stateName, out _))
        {
            Interlocked.Increment(ref _conflicts);
            throw new InconsistentStateException("another activation wrote first", "2", "1");
        }
    }

    private sealed class Storage(ConflictingStorage world, IGrainStorage inner) : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle observer) => (inner as ILifecycleParticipant<ISiloLifecycle>)?.Participate(observer);

        public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => inner.ReadStateAsync(stateName, grainId, grainState);

        public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            world.Write(stateName, grainState.State);
            return inner.WriteStateAsync(stateName, grainId, grainState);
        }

        public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => inner.ClearStateAsync(stateName, grainId, grainState);
    }
}
