using Microsoft.Data.Sqlite;

namespace OrleansInference.LocalAws.Storage;

/// <summary>
/// Everything that must outlive a restart, in one SQLite file, or in memory. Statements take microseconds, so one connection
/// behind one lock is enough. A commit survives the end of the process; the last ones may be lost when the power fails.
/// </summary>
internal sealed class LocalDatabase : IDisposable
{
    private const string FileName = "local-aws.db";
    private const string LockName = "local-aws.lock";
    private const string Schema = """
        CREATE TABLE IF NOT EXISTS setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS bucket (name TEXT NOT NULL PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS object (bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL,
            modified INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB, file TEXT, PRIMARY KEY (bucket, key));
        CREATE TABLE IF NOT EXISTS queue (name TEXT NOT NULL PRIMARY KEY, created INTEGER NOT NULL, attributes TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS tag (kind TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name, key)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL,
            attributes TEXT NOT NULL, sent INTEGER NOT NULL, visible INTEGER NOT NULL, receipts INTEGER NOT NULL DEFAULT 0, first_receipt INTEGER, receipt TEXT);
        CREATE INDEX IF NOT EXISTS message_visible ON message (queue, visible, id);
        CREATE TABLE IF NOT EXISTS endpoint (name TEXT NOT NULL PRIMARY KEY, instances INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS async_call (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, received INTEGER NOT NULL, request TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS transform_job (name TEXT NOT NULL PRIMARY KEY, request TEXT NOT NULL, status TEXT NOT NULL, created INTEGER NOT NULL,
            started INTEGER, ended INTEGER, failure TEXT) WITHOUT ROWID;
        """;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, SqliteCommand> _commands = new(StringComparer.Ordinal);
    private readonly SqliteConnection _connection;
    private readonly FileStream? _lock;
    private SqliteTransaction? _transaction;

    private LocalDatabase(SqliteConnection connection, FileStream? folderLock)
    {
        _connection = connection;
        _lock = folderLock;
    }

    /// <summary>Opens the database of a folder, or one in memory.</summary>
    /// <exception cref="LocalAwsException">The folder is in use, cannot be written, or is damaged.</exception>
    public static LocalDatabase Open(string? folder)
    {
        var folderLock = folder is null ? null : TakeLock(folder);
        var source = folder is null ? ":memory:" : Path.Combine(folder, FileName);
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = source, Pooling = false }.ToString());
        try
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;" + Schema;
            command.ExecuteNonQuery();
            return new(connection, folderLock);
        }
        catch (SqliteException exception)
        {
            connection.Dispose();
            folderLock?.Dispose();
            throw new LocalAwsException(LocalAwsProblem.DataFolder, $"The data file '{source}' cannot be opened: {exception.Message}. Repair or remove it, or choose another data folder.", exception);
        }
    }

    public int Execute(string sql, params ReadOnlySpan<object?> parameters)
    {
        lock (_gate)
        {
            return Prepare(sql, parameters).ExecuteNonQuery();
        }
    }

    public T? Scalar<T>(string sql, params ReadOnlySpan<object?> parameters)
    {
        lock (_gate)
        {
            return Prepare(sql, parameters).ExecuteScalar() is T value ? value : default;
        }
    }

    public List<T> Query<T>(string sql, Func<SqliteDataReader, T> map, params ReadOnlySpan<object?> parameters)
    {
        lock (_gate)
        {
            var rows = new List<T>();
            using var reader = Prepare(sql, parameters).ExecuteReader();
            while (reader.Read())
            {
                rows.Add(map(reader));
            }

            return rows;
        }
    }

    /// <summary>Runs several statements, all or none. Transactions do not nest: one inside another joins it.</summary>
    public T Atomically<T>(Func<T> work)
    {
        lock (_gate)
        {
            if (_transaction is not null)
            {
                return work();
            }

            _transaction = _connection.BeginTransaction();
            try
            {
                var result = work();
                _transaction.Commit();
                return result;
            }
            finally
            {
                // Rolls back unless it was committed.
                _transaction.Dispose();
                _transaction = null;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var command in _commands.Values)
            {
                command.Dispose();
            }

            _connection.Dispose();
            _lock?.Dispose();
        }
    }

    private static FileStream TakeLock(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            return new(Path.Combine(folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (File.Exists(Path.Combine(folder, LockName)))
        {
            throw new LocalAwsException(LocalAwsProblem.DataFolder, $"The data folder '{folder}' is in use by another process. Stop that process, or choose another data folder.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new LocalAwsException(LocalAwsProblem.DataFolder, $"The data folder '{folder}' cannot be used: {exception.Message} Check its path and rights, or choose another one.", exception);
        }
    }

    // Parameters are positional: ?1, ?2 and so on, in the order given.
    private SqliteCommand Prepare(string sql, ReadOnlySpan<object?> parameters)
    {
        if (!_commands.TryGetValue(sql, out var command))
        {
            command = _connection.CreateCommand();
#pragma warning disable CA2100 // Constant text of this assembly.
            command.CommandText = sql;
#pragma warning restore CA2100
            for (var i = 0; i < parameters.Length; i++)
            {
                command.Parameters.Add(new SqliteParameter { ParameterName = $"?{i + 1}" });
            }

            _commands.Add(sql, command);
        }

        command.Transaction = _transaction;
        for (var i = 0; i < parameters.Length; i++)
        {
            command.Parameters[i].Value = parameters[i] ?? DBNull.Value;
        }

        return command;
    }
}
