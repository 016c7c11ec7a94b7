using System.Runtime.CompilerServices;
using OrleansInference.Aws.EventStreams;
using OrleansInference.Invocation;

namespace OrleansInference.Aws.Invocation;

/// <summary>A streamed answer, decoded as it arrives. Holds at most one part.</summary>
internal sealed class SageMakerStream(HttpResponseMessage response, Stream body, TimeSpan timeout) : IModelStream
{
    private readonly EventStreamReader _reader = new(body);

    public string? ContentType { get; init; }

    public string? CustomAttributes { get; init; }

    public string? InvokedProductionVariant { get; init; }

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (await NextAsync(cancellationToken).ConfigureAwait(false) is { } message)
        {
            switch (message.MessageType)
            {
                case "event" when message.EventType == "PayloadPart":
                    yield return message.Payload;
                    break;
                case "event":
                    // An event that SageMaker may add one day carries no payload of the model.
                    break;
                default:
                    throw RuntimeErrors.Of(message);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _reader.DisposeAsync().ConfigureAwait(false);

        // Closes the connection if the model has not finished: that is how SageMaker learns that nobody listens.
        response.Dispose();
    }

    private async Task<EventStreamMessage?> NextAsync(CancellationToken cancellationToken)
    {
        using var limit = new CallLimit(timeout, cancellationToken);
        try
        {
            return await _reader.ReadAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            throw limit.Translate(failure);
        }
    }
}
