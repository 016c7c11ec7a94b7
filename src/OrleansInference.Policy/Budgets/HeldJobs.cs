namespace OrleansInference.Budgets;

/// <summary>A job that waits for its tenant's budget, as it is stored.</summary>
/// <param name="Id">Id of the reservation that is made for it.</param>
/// <param name="Until">Unix ms of its deadline, after which it waits no more in any case.</param>
/// <param name="Need">What it needs, in nano-dollars.</param>
/// <param name="ExpiresAt">Unix ms until which its reservation is kept; 0: it asks by itself, and is only counted here.</param>
/// <param name="Class">Its class: of two with one deadline, the higher goes first.</param>
/// <param name="TurnAt">Unix ms at which its money was expected when it began to wait: from then on nothing is granted before it.</param>
public readonly record struct HeldJob(string Id, long Until, long Need = 0, long ExpiresAt = 0, TrafficClass Class = TrafficClass.Low, long TurnAt = 0);

/// <summary>
/// The jobs that wait for a tenant's budget, bounded, in the order in which they are to have it: by deadline, then class, then id. One that is
/// forgotten on its way stops counting at its deadline. Not thread-safe.
/// </summary>
public sealed class HeldJobs
{
    internal static readonly Comparer<HeldJob> Order = Comparer<HeldJob>.Create(static (a, b) =>
        a.Until != b.Until ? a.Until.CompareTo(b.Until) : a.Class != b.Class ? a.Class.CompareTo(b.Class) : string.CompareOrdinal(a.Id, b.Id));

    private readonly Dictionary<string, HeldJob> _byId = [];
    private readonly SortedSet<HeldJob> _ordered = new(Order);

    /// <summary>Begins with those that were stored.</summary>
    public HeldJobs(IEnumerable<HeldJob>? stored = null)
    {
        foreach (var job in stored ?? [])
        {
            Put(job);
        }
    }

    /// <summary>How many are counted.</summary>
    public int Count => _byId.Count;

    /// <summary>Those that the owner serves, the next one first.</summary>
    public IEnumerable<HeldJob> InOrder => _ordered;

    /// <summary>The job; null if none of that id waits.</summary>
    public HeldJob? Find(string id) => _byId.TryGetValue(id, out var job) ? job : null;

    /// <summary>Counts a job; false if <paramref name="most"/> are counted already. One that is counted stays as it is, but takes its place in the order if it had none.</summary>
    public bool TryAdd(HeldJob job, int most, long now)
    {
        ArgumentException.ThrowIfNullOrEmpty(job.Id);
        Forget(now);
        var known = Find(job.Id);
        if (known is { ExpiresAt: > 0 })
        {
            return true;
        }

        if (known is null && _byId.Count >= most)
        {
            return false;
        }

        Remove(job.Id);
        Put(job);
        return true;
    }

    /// <summary>The job waits no more.</summary>
    public bool Remove(string id)
    {
        if (!_byId.Remove(id, out var job))
        {
            return false;
        }

        _ordered.Remove(job);
        return true;
    }

    /// <summary>Forgets those whose deadline has passed; whether there were any.</summary>
    public bool Forget(long now)
    {
        var gone = _byId.Values.Where(job => job.Until <= now).ToList();
        foreach (var job in gone)
        {
            Remove(job.Id);
        }

        return gone.Count > 0;
    }

    /// <summary>What to store; null if none waits.</summary>
    public IReadOnlyList<HeldJob>? ToState() => _byId.Count == 0 ? null : [.. _byId.Values];

    private void Put(HeldJob job)
    {
        _byId[job.Id] = job;
        if (job.ExpiresAt > 0)
        {
            _ordered.Add(job);
        }
    }
}
