using System.Collections.Concurrent;
using System.Globalization;
using OrleansInference.Leases;
using OrleansInference.Routing;

namespace OrleansInference.Dispatch;

/// <summary>
/// The last decisions of this silo. Every refusal is kept; of the others all while there are few, and a sample beyond.
/// Bounded: the oldest go first, refusals apart from the others so that a flood of one does not drive out the other.
/// </summary>
internal sealed class DecisionLog(LeaseHolderIdentity holder)
{
    private const int Capacity = 4096;
    private const int AllPerSecond = 200;
    private const int SampleOneOf = 16;

    private readonly ConcurrentDictionary<string, DecisionRecord> _byId = new();
    private readonly Ring _routed = new();
    private readonly Ring _refused = new();
    private readonly string _prefix = Prefix(holder.Name);
    private long _lastId;
    private long _second;
    private int _inSecond;

    /// <summary>A new id, unique over silos and their incarnations.</summary>
    public string NextId(out ulong seed)
    {
        var id = Interlocked.Increment(ref _lastId);
        seed = (ulong)id;
        return string.Create(CultureInfo.InvariantCulture, $"{_prefix}-{id:x8}");
    }

    /// <summary>Whether a routed decision at <paramref name="now"/> is to be kept.</summary>
    public bool Samples(long now)
    {
        var second = now / 1000;
        if (Interlocked.Exchange(ref _second, second) != second)
        {
            Volatile.Write(ref _inSecond, 0);
        }

        var count = Interlocked.Increment(ref _inSecond);
        return count <= AllPerSecond || count % SampleOneOf == 0;
    }

    public void Add(DecisionRecord record)
    {
        if (_byId.TryGetValue(record.DecisionId, out var earlier) && earlier.Decision.HasRoute == record.Decision.HasRoute)
        {
            _byId[record.DecisionId] = record;
            return;
        }

        // One that was routed at first and refused in the end is kept with the refusals.
        _byId[record.DecisionId] = record;
        if ((record.Decision.HasRoute ? _routed : _refused).Add(record.DecisionId) is { } oldest
            && _byId.TryGetValue(oldest, out var last) && last.Decision.HasRoute == record.Decision.HasRoute)
        {
            _byId.TryRemove(KeyValuePair.Create(oldest, last));
        }
    }

    /// <summary>The decision; null if it is another tenant's or not in the log.</summary>
    public DecisionRecord? Find(TenantId tenant, string decisionId) =>
        _byId.TryGetValue(decisionId, out var record) && record.TenantId == tenant ? record : null;

    private static string Prefix(string holder)
    {
        // FNV-1a: the same on every run, so that an id names the silo that has its log.
        var hash = 14695981039346656037UL;
        foreach (var c in holder)
        {
            hash = (hash ^ c) * 1099511628211UL;
        }

        return hash.ToString("x16", CultureInfo.InvariantCulture);
    }

    private sealed class Ring
    {
        private readonly string?[] _ids = new string?[Capacity];
        private long _next;

        /// <summary>Adds an id; answers the one that it replaces.</summary>
        public string? Add(string id) => Interlocked.Exchange(ref _ids[(Interlocked.Increment(ref _next) - 1) % Capacity], id);
    }
}
