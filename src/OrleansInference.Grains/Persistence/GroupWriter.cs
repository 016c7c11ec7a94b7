namespace OrleansInference.Persistence;

/// <summary>
/// Makes the changes of many interleaved calls of one reentrant grain durable with one write: while a write is under way,
/// changes gather for the next. Used from the grain's own turns only.
/// </summary>
/// <param name="write">Writes the state as it is at the moment of the call.</param>
internal sealed class GroupWriter(Func<Task> write)
{
    private TaskCompletionSource? _waiting;
    private bool _isRunning;

    /// <summary>Completes when everything changed before the call is durable; fails as the write fails.</summary>
    public Task WriteAsync()
    {
        var waiting = (_waiting ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        if (!_isRunning)
        {
            _isRunning = true;
            _ = RunAsync();
        }

        return waiting;
    }

    private async Task RunAsync()
    {
        while (_waiting is { } batch)
        {
            _waiting = null;
            try
            {
                await write();
                batch.SetResult();
            }
            catch (Exception exception)
            {
                batch.SetException(exception);

                // The grain may be gone before anybody looks.
                _ = batch.Task.Exception;
            }
        }

        _isRunning = false;
    }
}
