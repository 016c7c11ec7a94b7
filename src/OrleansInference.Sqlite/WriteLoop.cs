using System.Threading.Channels;
using Microsoft.Data.Sqlite;

namespace OrleansInference.Sqlite;

/// <summary>
/// The only writer of a file: a thread that commits whatever is waiting in one transaction, so that the cost of making it
/// durable is shared ("group commit", DeWitt et al. 1984). While one transaction is being flushed the next gathers; no timer delays a lone write.
/// </summary>
internal sealed class WriteLoop : IDisposable
{
    private const int QueueCapacity = 8192;
    private const int MaxBatchOperations = 1024;
    private const int MaxBatchBytes = 16 << 20;
    private const long MaxWalBytes = 96 << 20;
    private const long BytesPerCheckpoint = 8 << 20;
    private const int PageBytes = 4096;
    private readonly string _path;
    private readonly SqliteSession _session;
    private readonly VersionCounter _versions = new();
    private readonly Channel<WriteOperation> _queue = Channel.CreateBounded<WriteOperation>(new BoundedChannelOptions(QueueCapacity) { SingleReader = true });
    private readonly List<WriteOperation> _batch = new(MaxBatchOperations);
    private readonly Thread _thread;
    private readonly Checkpointer _checkpointer;
    private long _sinceCheckpoint;

    public WriteLoop(string path, SqliteSession session)
    {
        _path = path;
        _session = session;
        _versions.Load(session);
        _checkpointer = new(path);
        _thread = new(Run) { IsBackground = true, Name = "SQLite writer" };
        _thread.Start();
    }

    /// <summary>Transactions committed so far.</summary>
    public long Commits { get; private set; }

    /// <summary>Queues an operation, waiting while the queue is full, and answers after the commit.</summary>
    public async Task<T> WriteAsync<T>(Func<SqliteSession, VersionCounter, T> work, int bytes, CancellationToken cancellationToken)
    {
        var operation = new WriteOperation<T>(work, bytes, cancellationToken);
        try
        {
            await _queue.Writer.WriteAsync(operation, cancellationToken);
        }
        catch (ChannelClosedException)
        {
            throw new ObjectDisposedException(nameof(SqliteDatabase), $"The data file '{_path}' has been closed.");
        }

        return await operation.Answer;
    }

    /// <summary>Commits what is queued, then ends the thread.</summary>
    public void Dispose()
    {
        _queue.Writer.TryComplete();
        _thread.Join();
        _checkpointer.Dispose();
        _session.Dispose();
    }

    private void Run()
    {
        while (WaitForWork())
        {
            Gather();
            Commit();
        }
    }

    private bool WaitForWork()
    {
        var waiting = _queue.Reader.WaitToReadAsync();
        return waiting.IsCompleted ? waiting.Result : waiting.AsTask().GetAwaiter().GetResult();
    }

    private void Gather()
    {
        _batch.Clear();
        for (var bytes = 0L; _batch.Count < MaxBatchOperations && bytes < MaxBatchBytes && _queue.Reader.TryRead(out var operation);)
        {
            if (operation.CancellationToken.IsCancellationRequested)
            {
                operation.Fail(new OperationCanceledException(operation.CancellationToken));
                continue;
            }

            _batch.Add(operation);
            bytes += operation.Bytes;
        }
    }

    private void Commit()
    {
        var executed = new List<WriteOperation>(_batch.Count);
        var next = 0;
        try
        {
            _session.Execute("BEGIN IMMEDIATE");
            for (; next < _batch.Count; next++)
            {
                try
                {
                    _batch[next].Execute(_session, _versions);
                    executed.Add(_batch[next]);
                }
                catch (Exception exception) when (_session.InTransaction)
                {
                    _batch[next].Fail(Translate(exception));
                }
            }

            _versions.Save(_session);
            _session.Execute("COMMIT");
            Commits++;
        }
        catch (Exception exception)
        {
            RollBack();
            var failure = Translate(exception);
            executed.ForEach(operation => operation.Fail(failure));
            _batch[next..].ForEach(operation => operation.Fail(failure));
            return;
        }

        executed.ForEach(operation => operation.Complete());
        // Each changes at least one page.
        executed.ForEach(operation => _sinceCheckpoint += PageBytes + operation.Bytes);
        if (_sinceCheckpoint >= BytesPerCheckpoint)
        {
            _sinceCheckpoint = 0;
            _checkpointer.Request();
        }

        BoundLog();
    }

    private void RollBack()
    {
        try
        {
            if (_session.InTransaction)
            {
                _session.Execute("ROLLBACK");
            }
        }
        catch (SqliteException)
        {
            // The callers already get the first error; a transaction that will not end fails the next BEGIN with its own.
        }
    }

    // The automatic checkpoint cannot reset the log while a reader is inside it. Readers are short, so when the log has outgrown its
    // bound it is enough to wait for them once.
    private void BoundLog()
    {
        if (Commits % 256 != 0 || new FileInfo(_path + "-wal") is not { Exists: true, Length: > MaxWalBytes })
        {
            return;
        }

        try
        {
            _session.RunScript("PRAGMA wal_checkpoint(TRUNCATE);");
        }
        catch (SqliteException)
        {
            // What was committed is safe in the log; the next round tries again.
        }
    }

    private Exception Translate(Exception exception) => exception is SqliteException sqlite ? DataFileException.From(_path, sqlite) : exception;
}
