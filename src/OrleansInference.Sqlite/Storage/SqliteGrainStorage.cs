using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization.Serializers;
using Orleans.Storage;

namespace OrleansInference.Sqlite;

/// <summary>
/// Grain state in one SQLite file. A row per service, grain and state name; its ETag is a number that counts up over the whole file. Writing or
/// clearing with an ETag that is not the stored one throws <see cref="InconsistentStateException"/> and changes nothing.
/// </summary>
public sealed partial class SqliteGrainStorage : IGrainStorage, ILifecycleParticipant<ISiloLifecycle>, IDisposable
{
    private const string Select = "SELECT version, data FROM grain_state WHERE service = ?1 AND grain = ?2 AND name = ?3";
    private const string SelectVersion = "SELECT version FROM grain_state WHERE service = ?1 AND grain = ?2 AND name = ?3";
    private const string Insert = "INSERT INTO grain_state (service, grain, name, version, data) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    private const string Update = "UPDATE grain_state SET version = ?4, data = ?5 WHERE service = ?1 AND grain = ?2 AND name = ?3 AND version = ?6";
    private const string Delete = "DELETE FROM grain_state WHERE service = ?1 AND grain = ?2 AND name = ?3 AND version = ?4";

    // A table with row ids: rows are larger than what fits well into the leaves of a clustered index.
    private static readonly SqliteSchema Schema = new(
        "grain_state",
        ["CREATE TABLE grain_state (service TEXT NOT NULL, grain TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (service, grain, name));"]);

    private readonly string _name;
    private readonly string _serviceId;
    private readonly SqliteStorageOptions _options;
    private readonly IActivatorProvider _activators;
    private readonly ILogger<SqliteGrainStorage> _logger;
    private SqliteDatabase? _database;

    /// <summary>Creates the storage provider of that name; the file is opened when the silo starts.</summary>
    public SqliteGrainStorage(
        string name,
        SqliteStorageOptions options,
        IOptions<ClusterOptions> cluster,
        IActivatorProvider activators,
        ILogger<SqliteGrainStorage> logger)
    {
        ArgumentNullException.ThrowIfNull(cluster);
        _name = name;
        _options = options;
        _serviceId = cluster.Value.ServiceId;
        _activators = activators;
        _logger = logger;
    }

    private SqliteDatabase Database =>
        _database ?? throw new InvalidOperationException($"SQLite grain storage '{_name}' is not open: the silo has not started it yet.");

    /// <inheritdoc/>
    public void Participate(ISiloLifecycle observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        observer.Subscribe(
            OptionFormattingUtilities.Name<SqliteGrainStorage>(_name),
            _options.InitStage,
            OpenAsync,
            _ =>
            {
                Dispose();
                return Task.CompletedTask;
            });
    }

    /// <inheritdoc/>
    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        ReadStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);
        var grain = grainId.ToString();
        var rows = await Database.ReadAsync(
            session => session.Query(Select, row => (Version: row.GetInt64(0), Data: row.GetFieldValue<byte[]>(1)), _serviceId, grain, stateName),
            cancellationToken);
        if (rows is [var row])
        {
            grainState.State = Deserialize<T>(stateName, grainId, row.Data);
            grainState.ETag = Format(row.Version);
            grainState.RecordExists = true;
        }
        else
        {
            SetEmpty(grainState);
        }
    }

    /// <inheritdoc/>
    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        WriteStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);
        var grain = grainId.ToString();
        var expected = Parse(grainState.ETag);
        // Taken before the first await: the grain may go on changing its state.
        var data = ToArray(_options.Serializer.Serialize(grainState.State));
        if (data.Length > _options.MaxStateBytes)
        {
            throw new DataFileException(
                Database.Path,
                $"State '{stateName}' of grain {grain} is {data.Length} bytes; storage '{_name}' accepts {_options.MaxStateBytes} ({nameof(SqliteStorageOptions.MaxStateBytes)}).");
        }

        var written = await Database.WriteAsync<(long Version, long? Stored)>(
            (session, versions) =>
            {
                var version = versions.Next();
                var rows = expected is null
                    ? session.Execute(Insert, _serviceId, grain, stateName, version, data)
                    : session.Execute(Update, _serviceId, grain, stateName, version, data, expected);
                return rows == 1 ? (version, null) : (0, StoredVersion(session, grain, stateName));
            },
            data.Length,
            cancellationToken);
        if (written.Version == 0)
        {
            throw Conflict("write", stateName, grainId, grainState.ETag, written.Stored);
        }

        grainState.ETag = Format(written.Version);
        grainState.RecordExists = true;
    }

    /// <inheritdoc/>
    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        ClearStateAsync(stateName, grainId, grainState, CancellationToken.None);

    /// <inheritdoc/>
    public async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(grainState);
        var grain = grainId.ToString();
        var expected = Parse(grainState.ETag);
        var (cleared, stored) = await Database.WriteAsync<(bool, long?)>(
            (session, _) =>
            {
                if (expected is not null && session.Execute(Delete, _serviceId, grain, stateName, expected) == 1)
                {
                    return (true, null);
                }

                var version = StoredVersion(session, grain, stateName);
                return (expected is null && version is null, version);
            },
            bytes: 0,
            cancellationToken);
        if (!cleared)
        {
            throw Conflict("clear", stateName, grainId, grainState.ETag, stored);
        }

        SetEmpty(grainState);
    }

    /// <summary>Closes this provider's hold on the file; the last hold of the process closes the file.</summary>
    public void Dispose() => _database?.Dispose();

    // What a serializer gives is its own: as a rule a whole array, which need not be copied.
    private static byte[] ToArray(BinaryData data) =>
        MemoryMarshal.TryGetArray(data.ToMemory(), out var segment) && segment is { Offset: 0, Array: { } whole } && whole.Length == segment.Count ? whole : data.ToArray();

    private static string Format(long version) => version.ToString(CultureInfo.InvariantCulture);

    // Versions begin at 1, so an ETag that is none of ours matches no row and ends as a conflict.
    private static long? Parse(string? etag) => string.IsNullOrEmpty(etag)
        ? null
        : long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : -1L;

    /// <summary>Opens the file.</summary>
    internal async Task OpenAsync(CancellationToken cancellationToken)
    {
        _database = await SqliteDatabase.OpenAsync(_options.FilePath, Schema, cancellationToken);
        LogOpened(_name, _database.Path);
    }

    private long? StoredVersion(SqliteSession session, string grain, string stateName) =>
        (long?)session.Scalar(SelectVersion, _serviceId, grain, stateName);

    private void SetEmpty<T>(IGrainState<T> grainState)
    {
        grainState.State = _activators.GetActivator<T>().Create();
        grainState.ETag = null;
        grainState.RecordExists = false;
    }

    private T Deserialize<T>(string stateName, GrainId grainId, byte[] data)
    {
        try
        {
            return _options.Serializer.Deserialize<T>(new BinaryData(data))!;
        }
        catch (Exception exception)
        {
            throw new DataFileException(
                Database.Path,
                $"State '{stateName}' of grain {grainId} in '{Database.Path}' cannot be read as {typeof(T)}: {exception.Message}",
                exception);
        }
    }

    private InconsistentStateException Conflict(string action, string stateName, GrainId grainId, string? etag, long? stored) => new(
        $"Version conflict on {action}: storage {_name}, grain {grainId}, state '{stateName}'. Another activation has changed it.",
        stored is { } version ? Format(version) : null,
        etag);

    [LoggerMessage(Level = LogLevel.Debug, Message = "SQLite grain storage {Name} opened {Path}.")]
    private partial void LogOpened(string name, string path);
}
