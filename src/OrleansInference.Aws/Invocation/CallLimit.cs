namespace OrleansInference.Aws.Invocation;

/// <summary>Bounds the time of a call, and tells afterwards whether it was the caller who gave up.</summary>
internal sealed class CallLimit : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly CancellationToken _caller;
    private readonly TimeSpan _timeout;

    public CallLimit(TimeSpan timeout, CancellationToken caller)
    {
        _timeout = timeout;
        _caller = caller;
        _source = CancellationTokenSource.CreateLinkedTokenSource(caller);
        _source.CancelAfter(timeout);
    }

    public CancellationToken Token => _source.Token;

    /// <summary>What to throw for a failure without an answer of SageMaker.</summary>
    public Exception Translate(Exception failure) => failure switch
    {
        _ when _caller.IsCancellationRequested => new OperationCanceledException(failure.Message, failure, _caller),
        _ when _source.IsCancellationRequested => RuntimeErrors.TimedOut(_timeout, failure),
        _ => RuntimeErrors.Of(failure),
    };

    public void Dispose() => _source.Dispose();
}
