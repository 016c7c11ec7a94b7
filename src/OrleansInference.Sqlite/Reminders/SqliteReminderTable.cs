using System.Globalization;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace OrleansInference.Sqlite;

/// <summary>
/// Reminders in one SQLite file, a row per service, grain and name; silos read their part by the hash of the grain, and of it only what comes within
/// <see cref="ReminderOptions.ReminderLoadingWindow"/>: the reminder service keeps no others in memory.
/// </summary>
public sealed class SqliteReminderTable : IReminderTable, IDisposable
{
    private const int RowBytes = 256;
    private const string Columns = "SELECT grain, name, start_at, period, version FROM reminders WHERE service = ?1";
    private const string SelectGrain = $"{Columns} AND hash = ?2 AND grain = ?3";
    private const string SelectOne = $"{SelectGrain} AND name = ?4";

    // The first tick at or after ?4 is at ?5 at the latest.
    private const string ComesSoon = "start_at <= ?5 AND (start_at >= ?4 OR (period - (?4 - start_at) % period) % period <= ?5 - ?4)";
    private const string SelectRange = $"{Columns} AND hash > ?2 AND hash <= ?3 AND {ComesSoon}";
    private const string SelectWrapped = $"{Columns} AND (hash > ?2 OR hash <= ?3) AND {ComesSoon}";
    private const string Upsert = """
        INSERT INTO reminders (service, hash, grain, name, start_at, period, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (service, hash, grain, name) DO UPDATE SET start_at = excluded.start_at, period = excluded.period, version = excluded.version
        """;

    private const string Delete = "DELETE FROM reminders WHERE service = ?1 AND hash = ?2 AND grain = ?3 AND name = ?4 AND version = ?5";
    private const string DeleteAll = "DELETE FROM reminders WHERE service = ?1";

    private static readonly SqliteSchema Schema = new(
        "reminders",
        [
            """
            CREATE TABLE reminders (service TEXT NOT NULL, grain TEXT NOT NULL, name TEXT NOT NULL, hash INTEGER NOT NULL,
                start_at INTEGER NOT NULL, period INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (service, grain, name)) WITHOUT ROWID;
            CREATE INDEX reminders_by_hash ON reminders (service, hash);
            """,
            // By hash alone: the index held every row a second time, in pages of its own. A grain's hash follows from its id.
            """
            CREATE TABLE reminders_2 (service TEXT NOT NULL, hash INTEGER NOT NULL, grain TEXT NOT NULL, name TEXT NOT NULL,
                start_at INTEGER NOT NULL, period INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (service, hash, grain, name)) WITHOUT ROWID;
            INSERT INTO reminders_2 (service, hash, grain, name, start_at, period, version)
                SELECT service, hash, grain, name, start_at, period, version FROM reminders ORDER BY service, hash, grain, name;
            DROP TABLE reminders;
            ALTER TABLE reminders_2 RENAME TO reminders;
            """,
        ]);

    // The reminder service judges by a later time than this reads at.
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestWindow = TimeSpan.FromDays(36_500);

    private readonly string _serviceId;
    private readonly SqliteReminderOptions _options;
    private readonly TimeSpan _window;
    private readonly TimeProvider _time;
    private SqliteDatabase? _database;

    /// <summary>Creates the table; the file is opened when the reminder service starts.</summary>
    public SqliteReminderTable(IOptions<SqliteReminderOptions> options, IOptions<ClusterOptions> cluster, IOptions<ReminderOptions> reminders, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(cluster);
        ArgumentNullException.ThrowIfNull(reminders);
        _options = options.Value;
        _serviceId = cluster.Value.ServiceId;
        _window = TimeSpan.FromTicks(Math.Min(reminders.Value.ReminderLoadingWindow.Ticks, LongestWindow.Ticks));
        _time = time;
    }

    private SqliteDatabase Database =>
        _database ?? throw new InvalidOperationException("The SQLite reminder table is not open: the silo has not started it yet.");

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken = default) =>
        _database ??= await SqliteDatabase.OpenAsync(_options.FilePath, Schema, cancellationToken);

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken = default)
    {
        Dispose();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(GrainId grainId) => ReadRows(grainId, CancellationToken.None);

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(GrainId grainId, CancellationToken cancellationToken) =>
        ReadAsync(SelectGrain, [_serviceId, HashOf(grainId), grainId.ToString()], cancellationToken);

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(uint begin, uint end) => ReadRows(begin, end, CancellationToken.None);

    /// <inheritdoc/>
    public Task<ReminderTableData> ReadRows(uint begin, uint end, CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow();
        return ReadAsync(begin < end ? SelectRange : SelectWrapped, [_serviceId, (long)begin, (long)end, (now - Margin).Ticks, (now + _window + Margin).Ticks], cancellationToken);
    }

    /// <inheritdoc/>
    public Task<ReminderEntry?> ReadRow(GrainId grainId, string reminderName) => ReadRow(grainId, reminderName, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<ReminderEntry?> ReadRow(GrainId grainId, string reminderName, CancellationToken cancellationToken)
    {
        var found = await ReadAsync(SelectOne, [_serviceId, HashOf(grainId), grainId.ToString(), reminderName], cancellationToken);
        return found.Reminders is [var entry] ? entry : null;
    }

    /// <inheritdoc/>
    public Task<string?> UpsertRow(ReminderEntry entry) => UpsertRow(entry, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<string?> UpsertRow(ReminderEntry entry, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var grain = entry.GrainId.ToString();
        var name = entry.ReminderName;
        var hash = HashOf(entry.GrainId);
        // Orleans gives UTC, at times without saying so.
        var startAt = (entry.StartAt.Kind == DateTimeKind.Local ? entry.StartAt.ToUniversalTime() : entry.StartAt).Ticks;
        var period = entry.Period.Ticks;
        var version = await Database.WriteAsync(
            (session, versions) =>
            {
                var next = versions.Next();
                session.Execute(Upsert, _serviceId, hash, grain, name, startAt, period, next);
                return next;
            },
            RowBytes,
            cancellationToken);
        return version.ToString(CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag) => RemoveRow(grainId, reminderName, eTag, CancellationToken.None);

    /// <inheritdoc/>
    public async Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag, CancellationToken cancellationToken)
    {
        if (!long.TryParse(eTag, NumberStyles.None, CultureInfo.InvariantCulture, out var version))
        {
            return false;
        }

        var (hash, grain) = (HashOf(grainId), grainId.ToString());
        return await Database.WriteAsync(
            (session, _) => session.Execute(Delete, _serviceId, hash, grain, reminderName, version) == 1,
            RowBytes,
            cancellationToken);
    }

    /// <inheritdoc/>
    public Task TestOnlyClearTable() => TestOnlyClearTable(CancellationToken.None);

    /// <inheritdoc/>
    public Task TestOnlyClearTable(CancellationToken cancellationToken) =>
        Database.WriteAsync((session, _) => session.Execute(DeleteAll, _serviceId), RowBytes, cancellationToken);

    /// <summary>Closes this table's hold on the file; the last hold of the process closes the file.</summary>
    public void Dispose() => _database?.Dispose();

    private static long HashOf(GrainId grain) => grain.GetUniformHashCode();

    private static ReminderEntry Map(SqliteDataReader row) => new()
    {
        GrainId = GrainId.Parse(row.GetString(0), CultureInfo.InvariantCulture),
        ReminderName = row.GetString(1),
        StartAt = new(row.GetInt64(2), DateTimeKind.Utc),
        Period = new(row.GetInt64(3)),
        ETag = row.GetInt64(4).ToString(CultureInfo.InvariantCulture),
    };

    private Task<ReminderTableData> ReadAsync(string sql, object[] parameters, CancellationToken cancellationToken) =>
        Database.ReadAsync(session => new ReminderTableData(session.Query(sql, Map, parameters)), cancellationToken);
}
