using OrleansInference.Hosting;
using OrleansInference.Sqlite;

namespace OrleansInference.Audit;

/// <summary>
/// Removes the oldest records of the audit log: those past their retention, and more if the log is larger than allowed. The sums of all
/// records stay, and the sum of what was removed is kept beside them. Small batches, so that a record to be written waits for one at most.
/// </summary>
internal sealed class AuditRetention(SqliteDatabase database, long run, RouterClock clock, AuditLimits limits, ILogger logger) : IAsyncDisposable
{
    private const int BatchRecords = 1000;
    private const int BatchBytes = 64 * 1024;
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LeastPeriod = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stopping = new();
    private Task _rounds = Task.CompletedTask;

    /// <summary>Begins to remove, now and then at a steady beat.</summary>
    public void Start() => _rounds = Task.Run(RunAsync);

    /// <summary>Removes what is to go now; answers how many records that were.</summary>
    /// <exception cref="DataFileException">The file cannot be written.</exception>
    public async Task<long> RemoveAsync(CancellationToken cancellationToken)
    {
        var before = clock.Now - (long)limits.Retention.TotalMilliseconds;
        var removed = 0L;
        int batch;
        do
        {
            removed += batch = await RemoveBatchAsync(before, cancellationToken);
        }
        while (batch == BatchRecords);

        await database.WriteAsync((session, _) => session.Execute(AuditSchema.RemoveRuns, before, run), BatchBytes, cancellationToken);
        var early = 0L;
        while (await BytesAsync(cancellationToken) > limits.MaxBytes && (batch = await RemoveBatchAsync(long.MaxValue, cancellationToken)) > 0)
        {
            early += batch;
        }

        if (early > 0)
        {
            logger.RemovedEarly(early, limits.MaxBytes);
        }

        return removed + early;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _rounds;
        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        var wall = clock.ToWall(Period);
        using var timer = new PeriodicTimer(wall < LeastPeriod ? LeastPeriod : wall, clock.TimeProvider);
        try
        {
            do
            {
                try
                {
                    await RemoveAsync(_stopping.Token);
                }
                catch (DataFileException exception)
                {
                    logger.NotRemoved(exception);
                }
            }
            while (await timer.WaitForNextTickAsync(_stopping.Token));
        }
        catch (OperationCanceledException)
        {
            // The log closes.
        }
    }

    private Task<int> RemoveBatchAsync(long before, CancellationToken cancellationToken) =>
        database.WriteAsync((session, _) => session.Execute(AuditSchema.Remove, (long)BatchRecords, before), BatchBytes, cancellationToken);

    private Task<long> BytesAsync(CancellationToken cancellationToken) => database.ReadAsync(static session => (long)session.Scalar(AuditSchema.UsedBytes)!, cancellationToken);
}

internal static partial class AuditRetentionText
{
    [LoggerMessage(23, LogLevel.Warning, "The audit log was larger than {MaxBytes} bytes: its {Count} oldest records were removed before their retention ended. Raise AuditMaxBytes, or copy records away in time")]
    public static partial void RemovedEarly(this ILogger logger, long count, long maxBytes);

    [LoggerMessage(24, LogLevel.Warning, "Old records of the audit log could not be removed; the next round tries again")]
    public static partial void NotRemoved(this ILogger logger, Exception exception);
}
