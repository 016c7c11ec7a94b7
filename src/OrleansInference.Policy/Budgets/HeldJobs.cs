namespace OrleansInference.Budgets;

/// <summary>A job that waits for its tenant's budget, as it is stored.</summary>
/// <param name="Id">Id of the reservation it will make.</param>
/// <param name="Until">Unix ms after which it waits no more in any case: its deadline.</param>
public readonly record struct HeldJob(string Id, long Until);

/// <summary>
/// The jobs that wait for a tenant's budget, so that there are never more than a bound. A job that is forgotten on its way
/// stops counting at its deadline. Not thread-safe.
/// </summary>
public sealed class HeldJobs(IEnumerable<HeldJob>? stored = null)
{
    private readonly Dictionary<string, long> _until = (stored ?? []).ToDictionary(job => job.Id, job => job.Until);

    /// <summary>How many are counted.</summary>
    public int Count => _until.Count;

    /// <summary>Counts a job; false if <paramref name="most"/> are counted already. One that is counted stays so.</summary>
    public bool TryAdd(string id, long until, int most, long now)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        foreach (var (held, _) in _until.Where(pair => pair.Value <= now).ToList())
        {
            _until.Remove(held);
        }

        if (!_until.ContainsKey(id) && _until.Count >= most)
        {
            return false;
        }

        _until[id] = until;
        return true;
    }

    /// <summary>The job waits no more.</summary>
    public bool Remove(string id) => _until.Remove(id);

    /// <summary>What to store; null if none waits.</summary>
    public IReadOnlyList<HeldJob>? ToState() => _until.Count == 0 ? null : [.. _until.Select(pair => new HeldJob(pair.Key, pair.Value))];
}
