using System.Text.Json;
using Microsoft.Data.Sqlite;
using OrleansInference.Hosting;
using OrleansInference.LocalAws.Storage;

namespace OrleansInference.LocalAws.Objects;

/// <summary>An object without its body.</summary>
/// <param name="Key">The key.</param>
/// <param name="ETag">Entity tag, with its quotes.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Modified">Unix ms.</param>
internal sealed record ObjectEntry(string Key, string ETag, long Size, long Modified)
{
    /// <summary>Content type, user metadata and whatever else is sent back with it.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    public byte[]? Bytes { get; init; }

    public string? File { get; init; }
}

/// <summary>Buckets and objects. A change is durable when its method returns.</summary>
internal sealed class ObjectStore
{
    private const string Columns = "key, etag, size, modified, headers, body, file";
    private readonly LocalDatabase _database;
    private readonly RouterClock _clock;

    public ObjectStore(LocalDatabase database, string? folder, RouterClock clock)
    {
        _database = database;
        _clock = clock;
        Files = folder is null
            ? new MemoryFiles()
            : new FolderFiles(Path.Combine(folder, "objects"), database.Query("SELECT file FROM object WHERE file IS NOT NULL", row => row.GetString(0)).ToHashSet(StringComparer.Ordinal));
    }

    public IBodyFiles Files { get; }

    /// <summary>Creates a bucket; false if it exists.</summary>
    public bool CreateBucket(string name) => _database.Execute("INSERT INTO bucket VALUES (?1, ?2) ON CONFLICT DO NOTHING", name, _clock.Now) == 1;

    public bool HasBucket(string name) => _database.Scalar<long>("SELECT COUNT(*) FROM bucket WHERE name = ?1", name) == 1;

    /// <summary>Deletes a bucket; false if it has objects.</summary>
    public bool DeleteBucket(string name) => _database.Execute("DELETE FROM bucket WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM object WHERE bucket = ?1)", name) == 1;

    public List<(string Name, long Created)> Buckets() => _database.Query("SELECT name, created FROM bucket ORDER BY name", row => (row.GetString(0), row.GetInt64(1)));

    /// <summary>Writes an object over whatever was there.</summary>
    public ObjectEntry Put(string bucket, string key, ObjectBody body, IReadOnlyDictionary<string, string> headers)
    {
        var entry = new ObjectEntry(key, body.ETag, body.Size, _clock.Now) { Headers = headers };
        var old = _database.Atomically(() =>
        {
            var replaced = _database.Scalar<string>("SELECT file FROM object WHERE bucket = ?1 AND key = ?2", bucket, key);
            _database.Execute(
                """
                INSERT INTO object (bucket, key, etag, size, modified, headers, body, file) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                ON CONFLICT DO UPDATE SET etag = excluded.etag, size = excluded.size, modified = excluded.modified, headers = excluded.headers, body = excluded.body, file = excluded.file
                """,
                bucket,
                key,
                entry.ETag,
                entry.Size,
                entry.Modified,
                JsonSerializer.Serialize(headers),
                body.Bytes,
                body.File);
            return replaced;
        });
        if (old is not null)
        {
            Files.Delete(old);
        }

        return entry;
    }

    public ObjectEntry? Find(string bucket, string key) =>
        _database.Query($"SELECT {Columns} FROM object WHERE bucket = ?1 AND key = ?2", Read, bucket, key).FirstOrDefault();

    /// <summary>Finds an object and opens its body; null if there is none.</summary>
    public (ObjectEntry Entry, Stream Body)? Open(string bucket, string key)
    {
        while (Find(bucket, key) is { } entry)
        {
            var body = entry.File is null ? new MemoryStream(entry.Bytes ?? [], writable: false) : Files.Open(entry.File);
            if (body is not null)
            {
                return (entry, body);
            }

            // Replaced between the two steps: the new object is as good.
        }

        return null;
    }

    /// <summary>Reads an object whole; null if there is none.</summary>
    public async Task<byte[]?> ReadAsync(string bucket, string key, CancellationToken cancellationToken)
    {
        if (Open(bucket, key) is not { } found)
        {
            return null;
        }

        await using var body = found.Body;
        var bytes = new byte[found.Entry.Size];
        await body.ReadExactlyAsync(bytes, cancellationToken);
        return bytes;
    }

    public void Delete(string bucket, string key)
    {
        var file = _database.Atomically(() =>
        {
            var old = _database.Scalar<string>("SELECT file FROM object WHERE bucket = ?1 AND key = ?2", bucket, key);
            _database.Execute("DELETE FROM object WHERE bucket = ?1 AND key = ?2", bucket, key);
            return old;
        });
        if (file is not null)
        {
            Files.Delete(file);
        }
    }

    /// <summary>Objects in order of the UTF-8 bytes of their keys, from a key on, without headers and bodies.</summary>
    /// <param name="bucket">The bucket.</param>
    /// <param name="from">The least key.</param>
    /// <param name="including">Whether <paramref name="from"/> itself counts.</param>
    /// <param name="limit">The most returned.</param>
    public List<ObjectEntry> Range(string bucket, string from, bool including, int limit) => _database.Query(
        including
            ? "SELECT key, etag, size, modified FROM object WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
            : "SELECT key, etag, size, modified FROM object WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
        row => new ObjectEntry(row.GetString(0), row.GetString(1), row.GetInt64(2), row.GetInt64(3)),
        bucket,
        from,
        limit);

    private static ObjectEntry Read(SqliteDataReader row) => new(row.GetString(0), row.GetString(1), row.GetInt64(2), row.GetInt64(3))
    {
        Headers = JsonSerializer.Deserialize<Dictionary<string, string>>(row.GetString(4)) ?? [],
        Bytes = row.IsDBNull(5) ? null : row.GetFieldValue<byte[]>(5),
        File = row.IsDBNull(6) ? null : row.GetString(6),
    };
}
