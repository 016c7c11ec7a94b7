using System.Buffers;
using System.Text;
using Microsoft.AspNetCore.Http;
using OrleansInference.Aws.EventStreams;
using OrleansInference.Invocation;

namespace OrleansInference.Tests.Clients;

public sealed class SageMakerStreamTests
{
    private static readonly ModelCall Call = new() { EndpointName = "chat", Body = "{}"u8.ToArray(), Accept = "text/event-stream" };

    [Fact]
    public async Task Each_part_is_handed_on_before_the_next_is_sent()
    {
        var taken = new SemaphoreSlim(0);
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            Begin(context, ("X-Amzn-SageMaker-Content-Type", "text/plain"), ("X-Amzn-SageMaker-Custom-Attributes", "a=1"), ("x-Amzn-Invoked-Production-Variant", "blue"));
            for (var i = 0; i < 5; i++)
            {
                await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", Encoding.UTF8.GetBytes($"part {i}")));
                Assert.True(await taken.WaitAsync(TimeSpan.FromSeconds(30)));
            }
        });

        await using var stream = await aws.Client<IModelRuntime>().InvokeStreamAsync(Call, CancellationToken.None);
        var parts = new List<string>();
        await foreach (var part in stream.ReadPartsAsync(CancellationToken.None))
        {
            parts.Add(Encoding.UTF8.GetString(part.Span));
            taken.Release();
        }

        Assert.Equal(["part 0", "part 1", "part 2", "part 3", "part 4"], parts);
        Assert.Equal(("text/plain", "a=1", "blue"), (stream.ContentType, stream.CustomAttributes, stream.InvokedProductionVariant));
        var request = aws.SingleRequest("sagemaker");
        Assert.Equal("/endpoints/chat/invocations-response-stream", request.Target);
        Assert.Equal("text/event-stream", request.Header("X-Amzn-SageMaker-Accept"));
        Assert.Null(request.Header("Accept"));
    }

    [Theory]
    [InlineData("ModelStreamError", """{"Message":"the model broke","ErrorCode":"ModelInvocationTimeExceeded"}""", ModelCallFailure.Model, "the model broke")]
    [InlineData("InternalStreamFailure", """{"Message":"inside"}""", ModelCallFailure.Unavailable, "inside")]
    [InlineData("SomethingNew", "no json", ModelCallFailure.Unavailable, "SomethingNew")]
    public async Task An_exception_in_the_stream_comes_after_the_parts_before_it(string type, string body, ModelCallFailure expected, string message)
    {
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", "one"u8));
            await WriteAsync(context, target => EventStreamWriter.WriteException(target, type, Encoding.UTF8.GetBytes(body)));
        });

        var (parts, failure) = await ReadAsync(aws);

        Assert.Equal(["one"], parts);
        Assert.Equal((expected, false), (failure!.Failure, failure.NotSent));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unmodelled_error_ends_the_stream()
    {
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.Write(target, [new(":message-type", "error"), new(":error-code", "500"), new(":error-message", "oh")], default));
        });

        var (_, failure) = await ReadAsync(aws);

        Assert.Equal((ModelCallFailure.Unavailable, "oh"), (failure!.Failure, failure.Message));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_that_breaks_off_or_is_damaged_is_a_failure(bool damaged)
    {
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", "one"u8));
            var buffer = new ArrayBufferWriter<byte>();
            EventStreamWriter.WriteEvent(buffer, "PayloadPart", "two"u8);
            var bytes = buffer.WrittenSpan.ToArray();
            if (damaged)
            {
                bytes[^6] ^= 1;
                await context.Response.Body.WriteAsync(bytes);
            }
            else
            {
                await context.Response.Body.WriteAsync(bytes.AsMemory(0, bytes.Length - 3));
            }
        });

        var (parts, failure) = await ReadAsync(aws);

        Assert.Equal(["one"], parts);
        Assert.Equal((ModelCallFailure.Unavailable, false), (failure!.Failure, failure.NotSent));
    }

    [Fact]
    public async Task Events_of_other_types_are_passed_over()
    {
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "initial-response", "{}"u8));
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", "one"u8));
        });

        Assert.Equal(["one"], (await ReadAsync(aws)).Parts);
    }

    [Fact]
    public async Task Disposing_an_unfinished_stream_ends_the_call_at_the_server()
    {
        var closed = new TaskCompletionSource();
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            context.RequestAborted.Register(closed.SetResult);
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", "one"u8));
            await closed.Task;
        });

        var stream = await aws.Client<IModelRuntime>().InvokeStreamAsync(Call, CancellationToken.None);
        await foreach (var _ in stream.ReadPartsAsync(CancellationToken.None))
        {
            break;
        }

        await stream.DisposeAsync();
        await closed.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task A_reader_who_gives_up_gets_a_cancellation()
    {
        var closed = new TaskCompletionSource();
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            context.RequestAborted.Register(closed.SetResult);
            Begin(context);
            await WriteAsync(context, target => EventStreamWriter.WriteEvent(target, "PayloadPart", "one"u8));
            await closed.Task;
        });
        using var reader = new CancellationTokenSource();

        await using (var stream = await aws.Client<IModelRuntime>().InvokeStreamAsync(Call, CancellationToken.None))
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (var _ in stream.ReadPartsAsync(reader.Token))
                {
                    await reader.CancelAsync();
                }
            });
        }

        await closed.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    private static async Task<(List<string> Parts, ModelCallException? Failure)> ReadAsync(ScriptedAws aws)
    {
        await using var stream = await aws.Client<IModelRuntime>().InvokeStreamAsync(Call, CancellationToken.None);
        var parts = new List<string>();
        try
        {
            await foreach (var part in stream.ReadPartsAsync(CancellationToken.None))
            {
                parts.Add(Encoding.UTF8.GetString(part.Span));
            }
        }
        catch (ModelCallException failure)
        {
            return (parts, failure);
        }

        return (parts, null);
    }

    private static void Begin(HttpContext context, params (string Name, string Value)[] headers)
    {
        context.Response.ContentType = EventStreamMessage.StreamContentType;
        foreach (var (name, value) in headers)
        {
            context.Response.Headers[name] = value;
        }
    }

    private static async Task WriteAsync(HttpContext context, Action<IBufferWriter<byte>> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        write(buffer);
        await context.Response.Body.WriteAsync(buffer.WrittenMemory);
        await context.Response.Body.FlushAsync();
    }
}
