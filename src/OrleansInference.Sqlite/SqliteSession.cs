using Microsoft.Data.Sqlite;

namespace OrleansInference.Sqlite;

/// <summary>A connection with its prepared statements. Used by one thread at a time.</summary>
internal sealed class SqliteSession : IDisposable
{
    private const int BusyTimeoutSeconds = 5;
    private readonly Dictionary<string, SqliteCommand> _commands = new(StringComparer.Ordinal);
    private readonly SqliteConnection _connection;

    /// <summary>Opens the file at <paramref name="path"/>; a reader never changes it.</summary>
    public SqliteSession(string path, bool writable)
    {
        _connection = new(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = writable ? SqliteOpenMode.ReadWriteCreate : SqliteOpenMode.ReadWrite,
            // Pooled connections outlive Close and would keep the file open after the last holder has gone.
            Pooling = false,
            DefaultTimeout = BusyTimeoutSeconds,
        }.ToString());
        try
        {
            _connection.Open();
            RunScript($"PRAGMA busy_timeout={BusyTimeoutSeconds * 1000}; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192;");
            if (!writable)
            {
                RunScript("PRAGMA query_only=ON;");
            }
        }
        catch
        {
            _connection.Dispose();
            throw;
        }
    }

    /// <summary>Whether a transaction is open. SQLite itself rolls one back on some errors (disk full, I/O).</summary>
    public bool InTransaction => SQLitePCL.raw.sqlite3_get_autocommit(_connection.Handle) == 0;

    /// <summary>Runs statements without parameters or results, once.</summary>
    public void RunScript(string sql)
    {
        using var command = _connection.CreateCommand();
#pragma warning disable CA2100 // Constant text of this assembly.
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    /// <summary>Runs a prepared statement and returns the number of rows it changed.</summary>
    public int Execute(string sql, params ReadOnlySpan<object> parameters) => Prepare(sql, parameters).ExecuteNonQuery();

    /// <summary>Runs a prepared query and returns its first value; null if there is no row or it is NULL.</summary>
    public object? Scalar(string sql, params ReadOnlySpan<object> parameters) => Prepare(sql, parameters).ExecuteScalar() is { } value and not DBNull ? value : null;

    /// <summary>Runs a prepared query and maps every row.</summary>
    public List<T> Query<T>(string sql, Func<SqliteDataReader, T> map, params ReadOnlySpan<object> parameters)
    {
        var rows = new List<T>();
        using var reader = Prepare(sql, parameters).ExecuteReader();
        while (reader.Read())
        {
            rows.Add(map(reader));
        }

        return rows;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var command in _commands.Values)
        {
            command.Dispose();
        }

        _connection.Dispose();
    }

    // Parameters are positional: ?1, ?2 and so on, in the order given.
    private SqliteCommand Prepare(string sql, ReadOnlySpan<object> parameters)
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

        for (var i = 0; i < parameters.Length; i++)
        {
            command.Parameters[i].Value = parameters[i];
        }

        return command;
    }
}
