namespace OrleansInference.Sqlite;

/// <summary>
/// A hold on one SQLite file. All holds of this process on the same path share one writer, which commits concurrent writes together, and
/// a few readers; no second process can open the file meanwhile. A write is answered when it is durable.
/// </summary>
public sealed class SqliteDatabase : IDisposable
{
    private readonly SqliteFile _file;
    private int _disposed;

    private SqliteDatabase(string path, SqliteFile file)
    {
        Path = path;
        _file = file;
    }

    /// <summary>Full path of the file.</summary>
    public string Path { get; }

    /// <summary>Transactions that the file's writer has committed since it was opened.</summary>
    public long Commits => _file.Commits;

    /// <summary>Opens the file, creating it and its folder if they do not exist, and checks its integrity.</summary>
    /// <exception cref="DataFolderInUseException">Another process uses the file.</exception>
    /// <exception cref="DataFileException">The file cannot be opened, is no database, is damaged, or was written by a newer release.</exception>
    public static SqliteDatabase Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var full = System.IO.Path.GetFullPath(path);
        return new(full, SqliteFile.Acquire(full));
    }

    /// <summary>Gives the hold back. The last one to go closes the file, after everything queued has been committed.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _file.Release();
        }
    }

    /// <summary>Opens the file off the calling thread and brings a component's tables up to date.</summary>
    internal static Task<SqliteDatabase> OpenAsync(string path, SqliteSchema schema, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var database = Open(path);
            try
            {
                database._file.EnsureSchema(schema);
                return database;
            }
            catch
            {
                database.Dispose();
                throw;
            }
        },
        cancellationToken);

    /// <summary>Runs a query on a reader; it sees every write that was answered before.</summary>
    internal Task<T> ReadAsync<T>(Func<SqliteSession, T> work, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return _file.ReadAsync(work, cancellationToken);
    }

    /// <summary>Runs a change of one statement on the writer and answers when it is durable. Cancelled means that nothing was written.</summary>
    internal Task<T> WriteAsync<T>(Func<SqliteSession, VersionCounter, T> work, int bytes, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return _file.WriteAsync(work, bytes, cancellationToken);
    }
}
