using System.Runtime.CompilerServices;
using OrleansInference.Invocation;

namespace OrleansInference.Aws.DataCapture;

/// <summary>SageMaker Runtime, of whose answered calls a share is captured. A call neither waits for it nor fails by it.</summary>
internal sealed class CapturingRuntime(IModelRuntime runtime, CaptureWriter writer, DataCaptureOptions options, TimeProvider time) : IModelRuntime
{
    private const string UnknownVariant = "AllTraffic";

    public async Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
        var input = IsChosen(call) ? call.Body.ToArray() : null;
        var answer = await runtime.InvokeAsync(call, cancellationToken).ConfigureAwait(false);
        if (input is not null && answer.Body.Length <= options.MaxBodyBytes)
        {
            Add(call, input, answer.InvokedProductionVariant, answer.Body.ToArray(), answer.ContentType);
        }

        return answer;
    }

    public async Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(call);
        var input = IsChosen(call) ? call.Body.ToArray() : null;
        var stream = await runtime.InvokeStreamAsync(call, cancellationToken).ConfigureAwait(false);
        return input is null ? stream : new CapturingStream(stream, options.MaxBodyBytes, output => Add(call, input, stream.InvokedProductionVariant, output, stream.ContentType));
    }

    public Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken) => runtime.InvokeAsynchronouslyAsync(call, cancellationToken);

    private bool IsChosen(ModelCall call) => call.Body.Length <= options.MaxBodyBytes && (options.Percent >= 100 || Random.Shared.NextDouble() * 100 < options.Percent);

    private void Add(ModelCall call, byte[] input, string? variant, byte[] output, string? outputType) => writer.Add(new()
    {
        Endpoint = call.EndpointName,
        Variant = string.IsNullOrEmpty(variant) ? UnknownVariant : variant,
        At = time.GetUtcNow(),
        Input = input,
        InputType = call.ContentType,
        Output = output,
        OutputType = outputType,
        CustomAttributes = call.CustomAttributes,
        InferenceId = call.InferenceId,
    });

    /// <summary>Keeps a copy of the parts; a stream that is not read to its end is not captured.</summary>
    private sealed class CapturingStream(IModelStream stream, int mostBytes, Action<byte[]> captured) : IModelStream
    {
        public string? ContentType => stream.ContentType;

        public string? CustomAttributes => stream.CustomAttributes;

        public string? InvokedProductionVariant => stream.InvokedProductionVariant;

        public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
        {
            MemoryStream? copy = new();
            await foreach (var part in stream.ReadPartsAsync(cancellationToken).ConfigureAwait(false))
            {
                if (copy is not null && copy.Length + part.Length <= mostBytes)
                {
                    copy.Write(part.Span);
                }
                else
                {
                    copy = null;
                }

                yield return part;
            }

            if (copy is not null)
            {
                captured(copy.ToArray());
            }
        }

        public ValueTask DisposeAsync() => stream.DisposeAsync();
    }
}
