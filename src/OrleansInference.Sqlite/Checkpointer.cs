using Microsoft.Data.Sqlite;

namespace OrleansInference.Sqlite;

/// <summary>
/// Carries what is committed from the log into the file while the writer goes on committing, on a thread and a connection of its own. What is committed
/// is durable without it: it only keeps the log short, and what the writer's own checkpoints find left to do.
/// </summary>
internal sealed class Checkpointer : IDisposable
{
    private readonly SqliteSession _session;
    private readonly AutoResetEvent _due = new(false);
    private readonly Thread _thread;
    private volatile bool _stopping;

    public Checkpointer(string path)
    {
        _session = new(path, writable: true);
        _thread = new(Run) { IsBackground = true, Name = "SQLite checkpoints" };
        _thread.Start();
    }

    /// <summary>Enough has been committed to be worth it; one that is under way is followed by another.</summary>
    public void Request() => _due.Set();

    /// <summary>Ends the thread after the checkpoint that is under way.</summary>
    public void Dispose()
    {
        _stopping = true;
        _due.Set();
        _thread.Join();
        _due.Dispose();
        _session.Dispose();
    }

    private void Run()
    {
        while (_due.WaitOne() && !_stopping)
        {
            try
            {
                // Passive waits for nobody: what a reader still needs of the log is left for the next one.
                _session.Query("PRAGMA wal_checkpoint(PASSIVE)", static row => row.GetInt64(0));
            }
            catch (SqliteException)
            {
                // The log keeps what is committed, and the next one tries again.
            }
        }
    }
}
