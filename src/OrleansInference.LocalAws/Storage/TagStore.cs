namespace OrleansInference.LocalAws.Storage;

/// <summary>The tags of buckets and queues. A change is durable when its method returns.</summary>
/// <param name="database">Where.</param>
/// <param name="kind">Whose.</param>
internal sealed class TagStore(LocalDatabase database, string kind)
{
    public IReadOnlyDictionary<string, string> Find(string name) =>
        database.Query("SELECT key, value FROM tag WHERE kind = ?1 AND name = ?2 ORDER BY key", static row => (Key: row.GetString(0), Value: row.GetString(1)), kind, name)
            .ToDictionary(static tag => tag.Key, static tag => tag.Value, StringComparer.Ordinal);

    /// <summary>Adds tags to those that are there.</summary>
    public void Add(string name, IReadOnlyDictionary<string, string> tags) => database.Atomically(() =>
    {
        foreach (var (key, value) in tags)
        {
            database.Execute("INSERT INTO tag VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = excluded.value", kind, name, key, value);
        }

        return tags.Count;
    });

    /// <summary>Sets these tags and no others.</summary>
    public void Replace(string name, IReadOnlyDictionary<string, string> tags) => database.Atomically(() =>
    {
        Remove(name);
        Add(name, tags);
        return tags.Count;
    });

    public void Remove(string name) => database.Execute("DELETE FROM tag WHERE kind = ?1 AND name = ?2", kind, name);
}
