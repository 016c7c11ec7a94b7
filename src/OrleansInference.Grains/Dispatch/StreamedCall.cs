using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using OrleansInference.Invocation;

namespace OrleansInference.Dispatch;

/// <summary>A streamed answer under way. Counts what passes, and settles once, when it is disposed.</summary>
internal sealed class StreamedCall(
    ModelCaller caller,
    CallContext call,
    IModelStream stream,
    CancellationTokenSource running,
    CancellationTokenSource limit,
    CancellationTokenSource linked) : StreamedAnswer, IModelStream
{
    private IAsyncEnumerator<ReadOnlyMemory<byte>>? _parts;
    private Task<bool>? _next;
    private long _bytes;
    private Exception? _failure;
    private bool _callerGaveUp = true;
    private bool _isWhole;
    private bool _isDisposed;
    private RouteTaken _route = call.RouteAt(Money.Zero);

    public override InferenceProblem? Problem => null;

    public override RouteTaken Route => _route;

    public override IModelStream Stream => this;

    public override ImmutableArray<LimitQuota> Limits => Quotas;

    /// <summary>What is left of the tenant's limits.</summary>
    public ImmutableArray<LimitQuota> Quotas { get; set; } = [];

    public string? ContentType => stream.ContentType;

    public string? CustomAttributes => stream.CustomAttributes;

    public string? InvokedProductionVariant => stream.InvokedProductionVariant;

    /// <summary>Called with the end of the whole request, once.</summary>
    public Action? OnEnded { get; set; }

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var reading = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, linked.Token);
        var parts = _parts ??= stream.ReadPartsAsync(running.Token).GetAsyncEnumerator(running.Token);
        while (true)
        {
            try
            {
                reading.Token.ThrowIfCancellationRequested();
                _next = parts.MoveNextAsync().AsTask();
                if (!await _next.WaitAsync(reading.Token))
                {
                    caller.Written(call);
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

        // A stream that did not end by itself was broken off by its caller, unless it ran into its limit or failed.
        call.IsLeft = !_isWhole && _next is not { IsFaulted: true } and not { IsCanceled: true };
        try
        {
            if (!call.IsLeft)
            {
                await EndAsync();
            }
        }
        finally
        {
            _route = _isWhole
                ? caller.Answered(call, stream.CustomAttributes, _bytes)
                : (await caller.FailedAsync(call, _failure ?? new OperationCanceledException(), _callerGaveUp, stream.CustomAttributes, _bytes)).Outcome.Route!;
            linked.Dispose();
            limit.Dispose();
            OnEnded?.Invoke();
            if (call.IsLeft)
            {
                _ = SeeOffAsync();
            }
        }
    }

    /// <summary>Reads what nobody wants any more: the model goes on writing, and has the slot until it ends.</summary>
    private async Task SeeOffAsync()
    {
        var failed = false;
        try
        {
            var parts = _parts ??= stream.ReadPartsAsync(running.Token).GetAsyncEnumerator(running.Token);
            while (await (_next ?? parts.MoveNextAsync().AsTask()))
            {
                _next = null;
            }
        }
        catch (Exception exception)
        {
            failed = exception is not OperationCanceledException;
        }

        try
        {
            await EndAsync();
        }
        catch (Exception)
        {
            // As above.
        }
        finally
        {
            caller.Gone(call, failed);
        }
    }

    private async ValueTask EndAsync()
    {
        try
        {
            if (_parts is not null)
            {
                await _parts.DisposeAsync();
            }

            await stream.DisposeAsync();
        }
        finally
        {
            running.Dispose();
        }
    }
}

/// <summary>No stream, and why.</summary>
internal sealed class RefusedStream(InferenceOutcome outcome) : StreamedAnswer
{
    public override InferenceProblem? Problem => outcome.Problem;

    public override RouteTaken? Route => outcome.Route;

    public override IModelStream? Stream => null;

    public override ImmutableArray<LimitQuota> Limits => outcome.Limits;

    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
