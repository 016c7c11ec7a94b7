using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;

namespace OrleansInference.Sqlite;

/// <summary>One open file: shared by every <see cref="SqliteDatabase"/> of this process on the same path, and by no other process.</summary>
internal sealed class SqliteFile : IDisposable
{
    /// <summary>Appended to the file's name; the lock is a file of its own because locks on a database file belong to SQLite.</summary>
    public const string LockSuffix = ".lock";

    private const int Readers = 4;
    private static readonly Lock OpenFilesLock = new();
    private static readonly Dictionary<string, SqliteFile> OpenFiles = new(StringComparer.Ordinal);
    private readonly string _path;
    private readonly FileStream _lock;
    private readonly WriteLoop _writer;
    private readonly SemaphoreSlim _readers = new(Readers);
    private readonly ConcurrentBag<SqliteSession> _idleReaders = [];
    private readonly HashSet<string> _schemas = new(StringComparer.Ordinal);
    private int _holders;
    private bool _closed;

    private SqliteFile(string path)
    {
        _path = path;
        _lock = TakeLock(path);
        try
        {
            _writer = new(path, OpenWriter(path));
        }
        catch (Exception exception)
        {
            _lock.Dispose();
            throw exception is SqliteException sqlite ? DataFileException.From(path, sqlite) : exception;
        }
    }

    /// <summary>Transactions committed so far.</summary>
    public long Commits => _writer.Commits;

    /// <summary>The open file at <paramref name="path"/>, opened now if need be, with one more holder.</summary>
    public static SqliteFile Acquire(string path)
    {
        lock (OpenFilesLock)
        {
            if (!OpenFiles.TryGetValue(path, out var file))
            {
                file = new(path);
                OpenFiles.Add(path, file);
            }

            file._holders++;
            return file;
        }
    }

    /// <summary>One holder less; the last one closes the file after everything queued is committed.</summary>
    public void Release()
    {
        lock (OpenFilesLock)
        {
            if (--_holders == 0)
            {
                OpenFiles.Remove(_path);
                Dispose();
            }
        }
    }

    /// <summary>Brings a component's tables up to date, once per opening of the file.</summary>
    public void EnsureSchema(SqliteSchema schema)
    {
        lock (_schemas)
        {
            if (_schemas.Contains(schema.Component))
            {
                return;
            }

            try
            {
                // Rare, and wants a transaction of its own: not worth a place in the writer's loop.
                using var session = new SqliteSession(_path, writable: true);
                schema.Apply(session, _path);
            }
            catch (SqliteException exception)
            {
                throw DataFileException.From(_path, exception);
            }

            // What the writer remembers of a table that was changed beside it would be taken for true when a statement is prepared; running one finds out.
            WriteAsync(static (writer, _) => writer.Scalar("SELECT count(*) FROM sqlite_schema"), 0, CancellationToken.None).GetAwaiter().GetResult();
            _schemas.Add(schema.Component);
        }
    }

    public Task<T> WriteAsync<T>(Func<SqliteSession, VersionCounter, T> work, int bytes, CancellationToken cancellationToken) =>
        _writer.WriteAsync(work, bytes, cancellationToken);

    // Reads run on the calling thread: they take microseconds from the page cache, less than a hop to another thread.
    public async Task<T> ReadAsync<T>(Func<SqliteSession, T> work, CancellationToken cancellationToken)
    {
        await _readers.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(SqliteDatabase));
            if (!_idleReaders.TryTake(out var session))
            {
                session = new(_path, writable: false);
            }

            try
            {
                return work(session);
            }
            finally
            {
                _idleReaders.Add(session);
            }
        }
        catch (SqliteException exception)
        {
            throw DataFileException.From(_path, exception);
        }
        finally
        {
            _readers.Release();
        }
    }

    private static FileStream TakeLock(string path)
    {
        if (Directory.Exists(path))
        {
            throw new DataFileException(path, $"'{path}' is a folder; a data file is expected there. Name a file inside it.");
        }

        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DataFileException(path, $"The data folder '{Path.GetDirectoryName(path)}' cannot be created: {exception.Message}", exception);
        }

        try
        {
            // The lock file is never deleted: deleting it while another process opens it would let two processes in.
            return new(path + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new DataFileException(path, $"'{path}{LockSuffix}' cannot be opened for writing. Check that this user may write to its folder.", exception);
        }
        catch (IOException exception)
        {
            throw new DataFolderInUseException(path, exception);
        }
    }

    private static SqliteSession OpenWriter(string path)
    {
        var session = new SqliteSession(path, writable: true);
        try
        {
            // FULL flushes the log at every commit; NORMAL would lose the last commits when the power fails. Grains are written all over the file, so a long
            // log writes a page back once for many of its changes, and a large cache finds most pages that are to be changed.
            session.RunScript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=8192; PRAGMA journal_size_limit=50331648; PRAGMA cache_size=-32768;");
            if (session.Scalar("PRAGMA quick_check(1)") is string finding && finding != "ok")
            {
                throw DataFileException.Corrupt(path, finding);
            }

            VersionCounter.Schema.Apply(session, path);
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>Commits what is queued, waits for the readers and lets the file go. Only <see cref="Release"/> calls it.</summary>
    public void Dispose()
    {
        _writer.Dispose();
        for (var i = 0; i < Readers; i++)
        {
            _readers.Wait();
        }

        _closed = true;
        while (_idleReaders.TryTake(out var session))
        {
            session.Dispose();
        }

        // Whoever still waits for a reader now learns that the file is closed.
        _readers.Release(Readers);

        _lock.Dispose();
    }
}
