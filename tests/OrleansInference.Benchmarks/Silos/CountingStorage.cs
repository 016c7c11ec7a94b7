using System.Collections.Concurrent;
using Orleans.Storage;

namespace OrleansInference.Benchmarks.Silos;

/// <summary>Grain storage in memory that counts writes per grain. It costs next to nothing, so what is slow is not the storage.</summary>
internal sealed class CountingStorage(bool keepsState) : IGrainStorage
{
    private readonly ConcurrentDictionary<GrainId, object?> _states = new();
    private readonly ConcurrentDictionary<GrainId, int> _writes = new();

    /// <summary>How often a tenant's grain was written.</summary>
    public int WritesOf(GrainId grain) => _writes.GetValueOrDefault(grain);

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        grainState.RecordExists = _states.TryGetValue(grainId, out var state);
        grainState.State = state is T known ? known : Activator.CreateInstance<T>();
        grainState.ETag = grainState.RecordExists ? "1" : null;
        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (keepsState)
        {
            _states[grainId] = grainState.State;
            _writes.AddOrUpdate(grainId, 1, static (_, count) => count + 1);
        }

        (grainState.RecordExists, grainState.ETag) = (true, "1");
        return Task.CompletedTask;
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        _states.TryRemove(grainId, out _);
        (grainState.RecordExists, grainState.ETag) = (false, null);
        return Task.CompletedTask;
    }
}
