namespace OrleansInference.Sqlite;

/// <summary>One caller's change, waiting to be committed together with others.</summary>
internal abstract class WriteOperation(int bytes, CancellationToken cancellationToken)
{
    /// <summary>Rough size, which bounds a transaction.</summary>
    public int Bytes { get; } = bytes;

    /// <summary>Cancelled operations are dropped before they begin, never half way.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;

    /// <summary>Runs inside the open transaction. Must change the file by one statement at most: SQLite undoes a failed statement by itself, so one caller's error leaves the others' work alone.</summary>
    public abstract void Execute(SqliteSession session, VersionCounter versions);

    /// <summary>The transaction is durable: answers the caller.</summary>
    public abstract void Complete();

    /// <summary>Nothing of it was kept.</summary>
    public abstract void Fail(Exception exception);
}

/// <summary>A change with a result.</summary>
internal sealed class WriteOperation<T>(Func<SqliteSession, VersionCounter, T> work, int bytes, CancellationToken cancellationToken)
    : WriteOperation(bytes, cancellationToken)
{
    private readonly TaskCompletionSource<T> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T? _result;

    public Task<T> Answer => _answer.Task;

    public override void Execute(SqliteSession session, VersionCounter versions) => _result = work(session, versions);

    public override void Complete() => _answer.TrySetResult(_result!);

    public override void Fail(Exception exception)
    {
        if (exception is OperationCanceledException)
        {
            _answer.TrySetCanceled(CancellationToken);
        }
        else
        {
            _answer.TrySetException(exception);
        }
    }
}

/// <summary>
/// Numbers for ETags, counting up over the whole file and never used twice. A counter per row would begin again when a row is cleared and
/// written anew, and a stale activation that still holds the old number would then pass for the owner.
/// </summary>
internal sealed class VersionCounter
{
    public static readonly SqliteSchema Schema = new("versions", ["CREATE TABLE version_counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL); INSERT INTO version_counter VALUES (1, 0);"]);
    private long _saved;
    private long _last;

    public void Load(SqliteSession session) => _saved = _last = (long)session.Scalar("SELECT value FROM version_counter WHERE id = 1")!;

    public long Next() => checked(++_last);

    /// <summary>Writes the counter into the open transaction if it moved, so that it is durable with what was numbered by it.</summary>
    public void Save(SqliteSession session)
    {
        if (_last != _saved)
        {
            session.Execute("UPDATE version_counter SET value = ?1 WHERE id = 1", _last);
            // Numbers of a transaction that then fails are skipped, which is harmless: a later save writes a higher value.
            _saved = _last;
        }
    }
}
