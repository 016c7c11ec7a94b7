using System.Collections.Immutable;

namespace OrleansInference.Capacity;

/// <summary>
/// Which models of a shared endpoint are believed to be in memory: the ones that were used last, as many as one instance holds, for it
/// unloads the one that was not used for longest. Cautious with several instances, each of which holds models of its own. Safe for concurrent use; bounded
/// by the models that the catalog puts on the endpoint.
/// </summary>
public sealed class ModelResidency
{
    private readonly Lock _adding = new();
    private volatile Entry[] _entries = [];
    private long _toldAt;

    /// <summary>Models that one instance holds, at least 1.</summary>
    public int Capacity { get; set; } = 1;

    /// <summary>The entry of a model; keep it to ask without a look-up.</summary>
    public Entry Of(string targetModel)
    {
        ArgumentException.ThrowIfNullOrEmpty(targetModel);
        return Find(targetModel) ?? Add(targetModel);

        Entry Add(string name)
        {
            lock (_adding)
            {
                if (Find(name) is { } known)
                {
                    return known;
                }

                var added = new Entry(this, name);
                _entries = [.. _entries, added];
                return added;
            }
        }
    }

    /// <summary>The models believed to be in memory, the last used first.</summary>
    public ImmutableArray<ModelUsed> Loaded() =>
        [.. _entries.Where(static entry => entry.IsLoaded).Select(static entry => new ModelUsed(entry.TargetModel, entry.UsedAt)).OrderByDescending(static used => used.At)];

    /// <summary>The models that were used since the last call of this.</summary>
    public ImmutableArray<ModelUsed> TakeUsed()
    {
        var since = _toldAt;
        ImmutableArray<ModelUsed> used = [.. _entries.Where(entry => entry.UsedAt > since).Select(static entry => new ModelUsed(entry.TargetModel, entry.UsedAt))];
        _toldAt = used.Aggregate(since, static (latest, model) => Math.Max(latest, model.At));
        return used;
    }

    /// <summary>Takes note of uses elsewhere.</summary>
    public void Merge(ImmutableArray<ModelUsed> used)
    {
        foreach (var model in used.IsDefault ? [] : used)
        {
            Of(model.TargetModel).Used(model.At);
        }
    }

    private Entry? Find(string targetModel)
    {
        foreach (var entry in _entries)
        {
            if (entry.TargetModel == targetModel)
            {
                return entry;
            }
        }

        return null;
    }

    /// <summary>One model.</summary>
    public sealed class Entry
    {
        private readonly ModelResidency _residency;
        private long _usedAt;

        internal Entry(ModelResidency residency, string targetModel)
        {
            _residency = residency;
            TargetModel = targetModel;
        }

        /// <summary>The model.</summary>
        public string TargetModel { get; }

        /// <summary>Unix ms of its last use; 0: none is known.</summary>
        public long UsedAt => Volatile.Read(ref _usedAt);

        /// <summary>Whether it is believed to be in memory: fewer others were used since than an instance holds.</summary>
        public bool IsLoaded
        {
            get
            {
                var usedAt = UsedAt;
                if (usedAt == 0)
                {
                    return false;
                }

                var later = 0;
                foreach (var other in _residency._entries)
                {
                    if (other != this && other.UsedAt >= usedAt && ++later >= _residency.Capacity)
                    {
                        return false;
                    }
                }

                return true;
            }
        }

        /// <summary>It was used, and was in memory then.</summary>
        public void Used(long at)
        {
            var known = Volatile.Read(ref _usedAt);
            while (at > known)
            {
                var found = Interlocked.CompareExchange(ref _usedAt, at, known);
                if (found == known)
                {
                    return;
                }

                known = found;
            }
        }
    }
}
