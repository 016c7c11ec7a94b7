using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using OrleansInference.Hosting;
using OrleansInference.Sqlite;

namespace OrleansInference.Audit;

/// <summary>
/// The audit log in a SQLite file. Appending puts a record into a bounded queue and returns; one writer takes whatever is waiting and commits
/// it together. If storage falls so far behind that the queue is full, records are folded into one a tenant, kind and lane: sums stay exact when
/// single records are no longer kept, and the summary says how many those were.
/// </summary>
internal sealed class SqliteAuditLog : IAuditLog, IAsyncDisposable
{
    private const int MaxBatch = 1024;
    private static readonly TimeSpan Linger = TimeSpan.FromMilliseconds(20);
    private const int RecordBytes = 400;
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ClosingPatience = TimeSpan.FromSeconds(30);

    private readonly SqliteDatabase _database;
    private readonly RouterClock _clock;
    private readonly ILogger<SqliteAuditLog> _logger;
    private readonly long _run;
    private readonly Channel<Item> _queue;
    private readonly Lock _foldLock = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _writer;
    private Dictionary<(TenantId, AuditKind, Lane), (AuditRecord Record, long Count)> _folded = [];
    private bool _isClosed;
    private int _disposed;

    private SqliteAuditLog(SqliteDatabase database, long run, RouterClock clock, AuditLimits limits, ILogger<SqliteAuditLog> logger)
    {
        _database = database;
        _run = run;
        _clock = clock;
        _logger = logger;
        _queue = Channel.CreateBounded<Item>(new BoundedChannelOptions(limits.MaxQueued) { SingleReader = true });
        Retention = new(database, run, clock, limits, logger);
        _writer = Task.Run(WriteAllAsync);
        Retention.Start();
    }

    /// <summary>Keeps the log within its limits.</summary>
    internal AuditRetention Retention { get; }

    /// <summary>Opens the log and begins a run in it.</summary>
    /// <param name="path">The file; made if it does not exist.</param>
    /// <param name="clock">The clock of its records.</param>
    /// <param name="limits">What bounds it.</param>
    /// <param name="logger">Told what goes wrong.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="DataFileException">The file cannot be used.</exception>
    public static async Task<SqliteAuditLog> OpenAsync(string path, RouterClock clock, AuditLimits limits, ILogger<SqliteAuditLog> logger, CancellationToken cancellationToken)
    {
        var database = await SqliteDatabase.OpenAsync(path, AuditSchema.Schema, cancellationToken);
        try
        {
            var run = await database.WriteAsync(
                (session, _) => (long)session.Scalar("INSERT INTO audit_run (started_at) VALUES (?1) RETURNING run", clock.Now)!,
                RecordBytes,
                cancellationToken);
            return new(database, run, clock, limits, logger);
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Append(AuditRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (_queue.Writer.TryWrite(new(record, null)))
        {
            return;
        }

        lock (_foldLock)
        {
            // Until then the writer comes by once more, also when the queue was closed meanwhile.
            ObjectDisposedException.ThrowIf(_isClosed || _writer.IsCompleted, this);
            var key = (record.Tenant, record.Kind, record.Lane);
            var (sum, count) = _folded.TryGetValue(key, out var before)
                ? before
                : (record with { Charge = Money.Zero, Cost = Money.Zero, Cap = Money.Zero, Request = AuditSchema.Folded, Decision = AuditSchema.Folded, Reservation = null }, 0);
            _folded[key] = (sum with { Charge = sum.Charge + record.Charge, Cost = sum.Cost + record.Cost, Cap = sum.Cap + record.Cap, EndedAt = record.EndedAt }, count + 1);
        }
    }

    /// <inheritdoc/>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _queue.Writer.WriteAsync(new(null, reached), cancellationToken);
        await reached.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Sums by tenant of everything durable, and the gaps that crashes may have left.</summary>
    public Task<AuditSummary> SummariseAsync(CancellationToken cancellationToken) => _database.ReadAsync(
        session => new AuditSummary(
            [.. session.Query(
                "SELECT tenant, records, settled, charged, folded, carried, carried_predictions, carried_charged, window_cost FROM audit_total ORDER BY tenant",
                static row => new AuditTotal(
                    new(row.GetString(0)),
                    row.GetInt64(1),
                    row.GetInt64(2),
                    Money.FromNanos(row.GetInt64(3)),
                    row.GetInt64(4),
                    row.GetInt64(5) == 0 ? null : new(row.GetInt64(5), row.GetInt64(6), Money.FromNanos(row.GetInt64(7))))
                {
                    WindowCost = Money.FromNanos(row.GetInt64(8)),
                })],
            [.. session.Query(
                "SELECT started_at, (SELECT max(ended_at) FROM audit WHERE audit.run = audit_run.run) FROM audit_run WHERE ended_at IS NULL AND run <> ?1 ORDER BY run",
                static row => new AuditGap(Time(row.GetInt64(0)), row.IsDBNull(1) ? null : Time(row.GetInt64(1))),
                _run)],
            session.Query(
                "SELECT records, charged, until FROM audit_removed WHERE records > 0",
                static row => new AuditRemoval(row.GetInt64(0), Money.FromNanos(row.GetInt64(1)), Time(row.GetInt64(2)))).SingleOrDefault()),
        cancellationToken);

    /// <summary>Durable records after a sequence number, in order.</summary>
    /// <param name="after">The last sequence number seen; 0 begins.</param>
    /// <param name="limit">The most records.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public Task<List<(long Sequence, AuditRecord Record)>> ReadAsync(long after, int limit, CancellationToken cancellationToken) =>
        _database.ReadAsync(session => session.Query(AuditSchema.Select, Read, after, (long)limit), cancellationToken);

    /// <summary>Writes what is waiting, marks the run as ended in order, and closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _queue.Writer.TryComplete();
        _closing.CancelAfter(ClosingPatience);
        try
        {
            await Retention.DisposeAsync();
            await _writer;
            await _database.WriteAsync(
                (session, _) => session.Execute("UPDATE audit_run SET ended_at = ?1 WHERE run = ?2", _clock.Now, _run),
                RecordBytes,
                CancellationToken.None);
        }
        catch (Exception exception) when (exception is DataFileException or OperationCanceledException)
        {
            _logger.ClosedWithGap(exception);
        }
        finally
        {
            _database.Dispose();
            _closing.Dispose();
        }
    }

    private async Task WriteAllAsync()
    {
        var batch = new List<(AuditRecord Record, long Count)>(MaxBatch);
        var flushes = new List<TaskCompletionSource>();
        while (await _queue.Reader.WaitToReadAsync())
        {
            Gather(batch, flushes);
            if (flushes.Count == 0 && batch.Count < MaxBatch)
            {
                // Nobody waits for these: with those that come meanwhile they share a commit, which is most of what writing costs.
                await Task.Delay(Linger);
                Gather(batch, flushes);
            }

            TakeFolded(batch);
            await WriteAsync(batch);
            batch.Clear();
            flushes.ForEach(static flush => flush.TrySetResult());
            flushes.Clear();
        }

        // What met a full queue after the last batch was taken from it.
        lock (_foldLock)
        {
            _isClosed = true;
        }

        TakeFolded(batch);
        await WriteAsync(batch);
    }

    private void Gather(List<(AuditRecord, long)> batch, List<TaskCompletionSource> flushes)
    {
        while (batch.Count < MaxBatch && _queue.Reader.TryRead(out var item))
        {
            if (item.Record is { } record)
            {
                batch.Add((record, 1));
            }
            else
            {
                flushes.Add(item.Reached!);
            }
        }
    }

    private void TakeFolded(List<(AuditRecord, long)> batch)
    {
        Dictionary<(TenantId, AuditKind, Lane), (AuditRecord Record, long Count)> folded;
        lock (_foldLock)
        {
            if (_folded.Count == 0)
            {
                return;
            }

            folded = _folded;
            _folded = [];
        }

        _logger.Folded(folded.Values.Sum(static f => f.Count));
        batch.AddRange(folded.Values);
    }

    private async Task WriteAsync(List<(AuditRecord Record, long Count)> batch)
    {
        var left = batch;
        while (left.Count > 0)
        {
            // Queued at once, so that the file's writer commits them together; each is awaited, since one can fail alone.
            var writes = left.ConvertAll(entry => _database.WriteAsync((session, _) => Insert(session, entry.Record, entry.Count), RecordBytes, CancellationToken.None));
            var failed = new List<(AuditRecord, long)>();
            for (var i = 0; i < writes.Count; i++)
            {
                try
                {
                    await writes[i];
                }
                catch (DataFileException exception)
                {
                    if (failed.Count == 0)
                    {
                        _logger.NotWritten(exception);
                    }

                    failed.Add(left[i]);
                }
            }

            left = failed;
            if (left.Count > 0)
            {
                await Task.Delay(RetryDelay, _clock.TimeProvider, _closing.Token);
            }
        }
    }

    private int Insert(SqliteSession session, AuditRecord r, long count) => session.Execute(
        AuditSchema.Insert,
        _run,
        (long)r.Kind,
        count,
        r.Tenant.Value,
        r.Request,
        r.Decision,
        r.Model.Value,
        (long)r.Class,
        (long)r.Lane,
        r.Endpoint.Value,
        r.Cap.Nanos,
        r.Charge.Nanos,
        r.ReservedAt,
        r.EndedAt,
        r.ArrivedAt,
        r.Deadline,
        r.ServiceMs,
        (long)r.InputTokens,
        r.Problem is { } problem ? (long)problem : DBNull.Value,
        (object?)r.Reservation ?? DBNull.Value,
        r.Cost.Nanos);

    private static (long Sequence, AuditRecord Record) Read(SqliteDataReader row) => (row.GetInt64(17), new()
    {
        Kind = (AuditKind)row.GetInt32(0),
        Tenant = new(row.GetString(1)),
        Request = row.GetString(2),
        Decision = row.GetString(3),
        Model = new(row.GetString(4)),
        Class = (TrafficClass)row.GetInt32(5),
        Lane = (Lane)row.GetInt32(6),
        Endpoint = new(row.GetString(7)),
        Cap = Money.FromNanos(row.GetInt64(8)),
        Charge = Money.FromNanos(row.GetInt64(9)),
        ReservedAt = row.GetInt64(10),
        EndedAt = row.GetInt64(11),
        ArrivedAt = row.GetInt64(12),
        Deadline = row.GetInt64(13),
        ServiceMs = row.GetDouble(14),
        InputTokens = row.GetInt32(15),
        Problem = row.IsDBNull(16) ? null : (ProblemCode)row.GetInt32(16),
        Reservation = row.IsDBNull(18) ? null : row.GetString(18),
        Cost = Money.FromNanos(row.GetInt64(19)),
    });

    private static DateTimeOffset Time(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms);

    private readonly record struct Item(AuditRecord? Record, TaskCompletionSource? Reached);
}

internal static partial class SqliteAuditLogText
{
    [LoggerMessage(20, LogLevel.Error, "The audit log cannot be written; trying again until it can")]
    public static partial void NotWritten(this ILogger logger, Exception exception);

    [LoggerMessage(21, LogLevel.Error, "The audit log was closed before everything was written; the run stays marked as one with a gap")]
    public static partial void ClosedWithGap(this ILogger logger, Exception exception);

    [LoggerMessage(22, LogLevel.Warning, "The audit log's queue was full: {Count} records were folded into their sums")]
    public static partial void Folded(this ILogger logger, long count);
}
