using System.Runtime.CompilerServices;
using OrleansInference.Invocation;

namespace OrleansInference.Dispatch;

/// <summary>A streamed answer under way. Counts what passes, and settles once, when it is disposed.</summary>
internal sealed class StreamedCall(
    ModelCaller caller,
    CallContext call,
    IModelStream stream,
    CancellationTokenSource limit,
    CancellationTokenSource linked) : StreamedAnswer, IModelStream
{
    private long _bytes;
    private Exception? _failure;
    private bool _callerGaveUp = true;
    private bool _isWhole;
    private bool _isDisposed;
    private RouteTaken _route = call.RouteAt(Money.Zero);

    public override InferenceProblem? Problem => null;

    public override RouteTaken Route => _route;

    public override IModelStream Stream => this;

    public string? ContentType => stream.ContentType;

    public string? CustomAttributes => stream.CustomAttributes;

    public string? InvokedProductionVariant => stream.InvokedProductionVariant;

    /// <summary>Called with the end of the whole request, once.</summary>
    public Action? OnEnded { get; set; }

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var reading = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, linked.Token);
        await using var parts = stream.ReadPartsAsync(reading.Token).GetAsyncEnumerator(reading.Token);
        while (true)
        {
            try
            {
                if (!await parts.MoveNextAsync())
                {
                    _isWhole = true;
                    yield break;
                }
            }
            catch (OperationCanceledException exception) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                (_failure, _callerGaveUp) = (exception, false);
                throw new ModelCallException(ModelCallFailure.Model, "The deadline passed while the model was answering.", exception);
            }
            catch (Exception exception)
            {
                _failure = exception;
                throw;
            }

            _bytes += parts.Current.Length;
            yield return parts.Current;
        }
    }

    public override async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        try
        {
            await stream.DisposeAsync();
        }
        finally
        {
            // A stream that did not end by itself was broken off by its caller, unless it ran into its limit or failed.
            _route = _isWhole
                ? caller.Answered(call, stream.CustomAttributes, _bytes)
                : (await caller.FailedAsync(call, _failure ?? new OperationCanceledException(), _callerGaveUp, stream.CustomAttributes, _bytes)).Outcome.Route!;
            linked.Dispose();
            limit.Dispose();
            OnEnded?.Invoke();
        }
    }
}

/// <summary>No stream, and why.</summary>
internal sealed class RefusedStream(InferenceOutcome outcome) : StreamedAnswer
{
    public override InferenceProblem? Problem => outcome.Problem;

    public override RouteTaken? Route => outcome.Route;

    public override IModelStream? Stream => null;

    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
