using System.Collections.Concurrent;
using Orleans.Storage;

namespace OrleansInference.Tests.Faults;

/// <summary>How storage treats one grain.</summary>
/// <param name="Seed">Chooses what happens to which access.</param>
/// <param name="Failing">Share of accesses that fail, 0..1: half of the failed writes took effect nevertheless.</param>
/// <param name="Slow">Share of accesses that take up to <paramref name="Delay"/>.</param>
/// <param name="Delay">The longest delay.</param>
internal sealed record StorageFaults(int Seed, double Failing, double Slow, TimeSpan Delay);

/// <summary>
/// Storage in memory that outlives silos and whole clusters, checks versions as a real one does, and fails as told. What
/// happens to the n-th access of a grain follows from the seed alone, whatever the threads do.
/// </summary>
internal sealed class FaultyStorage : IGrainStorage
{
    private readonly ConcurrentDictionary<(GrainId, string), Entry> _entries = new();
    private readonly ConcurrentDictionary<string, StorageFaults> _faults = new();
    private int _conflicts;
    private int _failures;

    /// <summary>Writes refused because another activation had written.</summary>
    public int Conflicts => Volatile.Read(ref _conflicts);

    /// <summary>Accesses that were made to fail.</summary>
    public int Failures => Volatile.Read(ref _failures);

    /// <summary>From now on treats the grains of this key so; null: well.</summary>
    public void Treat(string key, StorageFaults? faults)
    {
        if (faults is null)
        {
            _faults.TryRemove(key, out _);
        }
        else
        {
            _faults[key] = faults;
        }
    }

    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var entry = EntryOf(grainId, stateName);
        if (await SufferAsync(grainId, entry) is not Fate.None)
        {
            throw Failure(grainId);
        }

        lock (entry)
        {
            grainState.RecordExists = entry.Version > 0;
            grainState.State = entry.State is T state ? state : Activator.CreateInstance<T>();
            grainState.ETag = entry.Version > 0 ? Tag(entry.Version) : null;
        }
    }

    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var entry = EntryOf(grainId, stateName);
        var (state, tag) = (grainState.State, grainState.ETag);
        var fate = await SufferAsync(grainId, entry);
        if (fate is Fate.FailBefore)
        {
            throw Failure(grainId);
        }

        lock (entry)
        {
            var stored = entry.Version > 0 ? Tag(entry.Version) : null;
            if (stored != tag)
            {
                Interlocked.Increment(ref _conflicts);
                throw new InconsistentStateException($"{grainId} was written by another activation.", stored ?? "none", tag ?? "none");
            }

            entry.State = state;
            entry.Version++;
            tag = Tag(entry.Version);
        }

        if (fate is Fate.FailAfter)
        {
            throw Failure(grainId);
        }

        (grainState.ETag, grainState.RecordExists) = (tag, true);
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        _entries.TryRemove((grainId, stateName), out _);
        (grainState.ETag, grainState.RecordExists) = (null, false);
        return Task.CompletedTask;
    }

    private static string Tag(long version) => version.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private Entry EntryOf(GrainId grain, string stateName) => _entries.GetOrAdd((grain, stateName), static _ => new());

    private async Task<Fate> SufferAsync(GrainId grain, Entry entry)
    {
        if (!_faults.TryGetValue(grain.Key.ToString()!, out var faults))
        {
            return Fate.None;
        }

        var random = new Random(HashCode(faults.Seed, Interlocked.Increment(ref entry.Accesses)));
        if (random.NextDouble() < faults.Slow)
        {
            await Task.Delay(faults.Delay * random.NextDouble());
        }

        return random.NextDouble() >= faults.Failing ? Fate.None : random.Next(2) == 0 ? Fate.FailBefore : Fate.FailAfter;
    }

    private IOException Failure(GrainId grain)
    {
        Interlocked.Increment(ref _failures);
        return new IOException($"The storage of {grain} fails as planned.");
    }

    // HashCode.Combine differs from process to process: a seed must not.
    private static int HashCode(int seed, int access) => unchecked((seed * 397) ^ (access * 486_187_739));

    private enum Fate
    {
        None,
        FailBefore,
        FailAfter,
    }

    private sealed class Entry
    {
        public object? State;
        public long Version;
        public int Accesses;
    }
}
