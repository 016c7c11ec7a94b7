using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansInference.Invocation;

namespace OrleansInference.Tests.Clients;

public sealed class SageMakerRuntimeTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private static readonly ModelCall Call = new()
    {
        EndpointName = "llm-7b-rt",
        Body = Encoding.UTF8.GetBytes("""{"inputs":"hé"}"""),
        ContentType = "application/json; charset=utf-8",
        Accept = "application/json, text/plain;q=0.5",
        CustomAttributes = "class=High;  trace=1",
        InferenceId = "id-1",
        TargetModel = "m/1.tar.gz",
        TargetVariant = "v-1",
        SessionId = "s 1",
    };

    [Fact]
    public async Task InvokeEndpoint_sends_what_the_service_model_says_and_reads_the_answer()
    {
        await using var aws = await ScriptedAws.StartAsync(200, """{"generated_text":"ok"}""",
            ("Content-Type", "application/json"), ("X-Amzn-SageMaker-Custom-Attributes", "output-tokens=44"), ("x-Amzn-Invoked-Production-Variant", "AllTraffic"));

        var answer = await aws.Client<IModelRuntime>().InvokeAsync(Call, None);

        var request = aws.SingleRequest("sagemaker");
        Assert.Equal("POST", request.Method);
        Assert.Equal("/endpoints/llm-7b-rt/invocations", request.Target);
        Assert.Equal(Call.Body.ToArray(), request.Body);
        Assert.Equal(Call.ContentType, request.Header("Content-Type"));
        Assert.Equal(Call.Accept, request.Header("Accept"));
        Assert.Equal(Call.CustomAttributes, request.Header("X-Amzn-SageMaker-Custom-Attributes"));
        Assert.Equal("id-1", request.Header("X-Amzn-SageMaker-Inference-Id"));
        Assert.Equal("m/1.tar.gz", request.Header("X-Amzn-SageMaker-Target-Model"));
        Assert.Equal("v-1", request.Header("X-Amzn-SageMaker-Target-Variant"));
        Assert.Equal("s 1", request.Header("X-Amzn-SageMaker-Session-Id"));
        Assert.Equal("""{"generated_text":"ok"}""", Encoding.UTF8.GetString(answer.Body.Span));
        Assert.Equal("application/json", answer.ContentType);
        Assert.Equal("output-tokens=44", answer.CustomAttributes);
        Assert.Equal("AllTraffic", answer.InvokedProductionVariant);
    }

    [Theory]
    [InlineData(403, "AccessDeniedException", "was refused.")]
    [InlineData(403, "ExpiredTokenException", "was refused.")]
    [InlineData(400, "ThrottlingException", "failed.")]
    [InlineData(503, "ServiceUnavailable", "failed.")]
    [InlineData(400, "ValidationError", null)]
    [InlineData(424, "ModelError", null)]
    public async Task What_is_for_the_operator_to_mend_is_told_in_the_log(int status, string error, string? told)
    {
        await using var aws = await ScriptedAws.StartAsync(status, """{"Message":"m"}""", ("x-amzn-ErrorType", error));
        var runtime = aws.Client<IModelRuntime>();

        var refused = await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeAsync(Call, None));
        await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeStreamAsync(Call, None));
        await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeAsynchronouslyAsync(new() { EndpointName = "llm-7b-async", InputLocation = "s3://b/k" }, None));

        Assert.Equal((error, status), (refused.ErrorType, refused.Status));
        Assert.Equal(
            told is null ? [] : [$"InvokeEndpoint of endpoint llm-7b-rt {told}", $"InvokeEndpointWithResponseStream of endpoint llm-7b-rt {told}", $"InvokeEndpointAsync of endpoint llm-7b-async {told}"],
            aws.Warnings);
    }

    [Fact]
    public async Task A_call_with_nothing_optional_sends_no_optional_header()
    {
        await using var aws = await ScriptedAws.StartAsync(200, "");

        var answer = await aws.Client<IModelRuntime>().InvokeAsync(new() { EndpointName = "e" }, None);

        var request = aws.SingleRequest("sagemaker");
        Assert.DoesNotContain(request.Headers.Keys, name => name.StartsWith("X-Amzn-SageMaker", StringComparison.OrdinalIgnoreCase) || name == "Accept");
        Assert.Equal("0", request.Header("Content-Length"));
        Assert.True(answer.Body.IsEmpty);
        Assert.Null(answer.CustomAttributes);
    }

    [Fact]
    public async Task InvokeEndpointAsync_sends_what_the_service_model_says_and_reads_the_receipt()
    {
        await using var aws = await ScriptedAws.StartAsync(202, """{"InferenceId":"id-2"}""",
            ("X-Amzn-SageMaker-OutputLocation", "s3://out/id-2.out"), ("X-Amzn-SageMaker-FailureLocation", "s3://out/failures/id-2"));

        var receipt = await aws.Client<IModelRuntime>().InvokeAsynchronouslyAsync(
            new()
            {
                EndpointName = "llm-async",
                InputLocation = "s3://in/jobs/1.json",
                ContentType = "application/json",
                Accept = "text/plain",
                CustomAttributes = "a=1",
                InferenceId = "id-2",
                RequestTtlSeconds = 3600,
                InvocationTimeoutSeconds = 900,
                S3OutputPathExtension = "x/y",
                Filename = "f.out",
            },
            None);

        var request = aws.SingleRequest("sagemaker");
        Assert.Equal("/endpoints/llm-async/async-invocations", request.Target);
        Assert.Empty(request.Body);
        Assert.Equal("s3://in/jobs/1.json", request.Header("X-Amzn-SageMaker-InputLocation"));
        Assert.Equal("application/json", request.Header("X-Amzn-SageMaker-Content-Type"));
        Assert.Equal("text/plain", request.Header("X-Amzn-SageMaker-Accept"));
        Assert.Equal("a=1", request.Header("X-Amzn-SageMaker-Custom-Attributes"));
        Assert.Equal("id-2", request.Header("X-Amzn-SageMaker-Inference-Id"));
        Assert.Equal("3600", request.Header("X-Amzn-SageMaker-RequestTTLSeconds"));
        Assert.Equal("900", request.Header("X-Amzn-SageMaker-InvocationTimeoutSeconds"));
        Assert.Equal("x/y", request.Header("X-Amzn-SageMaker-S3OutputPathExtension"));
        Assert.Equal("f.out", request.Header("X-Amzn-SageMaker-Filename"));
        Assert.Equal(new AsyncModelReceipt { InferenceId = "id-2", OutputLocation = "s3://out/id-2.out", FailureLocation = "s3://out/failures/id-2" }, receipt);
    }

    [Theory]
    [InlineData("""{"InferenceId":"id"}""", null)]
    [InlineData("{}", "s3://out/id")]
    [InlineData("not json", "s3://out/id")]
    public async Task A_receipt_that_lacks_what_it_must_have_is_a_failure(string body, string? location)
    {
        await using var aws = location is null
            ? await ScriptedAws.StartAsync(202, body)
            : await ScriptedAws.StartAsync(202, body, ("X-Amzn-SageMaker-OutputLocation", location));

        var failure = await Assert.ThrowsAsync<ModelCallException>(() =>
            aws.Client<IModelRuntime>().InvokeAsynchronouslyAsync(new() { EndpointName = "e", InputLocation = "s3://b/k" }, None));

        Assert.Equal((ModelCallFailure.Unavailable, false), (failure.Failure, failure.NotSent));
    }

    [Theory]
    [InlineData(400, "ValidationError", """{"Message":"Accept is too long"}""", ModelCallFailure.Validation, true)]
    [InlineData(400, "ValidationError", """{"Message":"Endpoint llm-7b-rt of account 123456789012 not found."}""", ModelCallFailure.Configuration, true)]
    [InlineData(400, "ThrottlingException", """{"message":"Rate exceeded"}""", ModelCallFailure.Throttled, true)]
    [InlineData(429, "", "{}", ModelCallFailure.Throttled, true)]
    [InlineData(429, "ModelNotReadyException", """{"Message":"Still provisioning"}""", ModelCallFailure.NotReady, true)]
    [InlineData(424, "ModelError", """{"Message":"m","OriginalStatusCode":503,"OriginalMessage":"out of memory"}""", ModelCallFailure.Model, false)]
    [InlineData(500, "InternalFailure", """{"Message":"m"}""", ModelCallFailure.Unavailable, false)]
    [InlineData(503, "ServiceUnavailable", """{"Message":"m"}""", ModelCallFailure.Unavailable, false)]
    [InlineData(530, "InternalDependencyException", """{"Message":"m"}""", ModelCallFailure.Unavailable, false)]
    [InlineData(403, "AccessDeniedException", """{"Message":"m"}""", ModelCallFailure.Configuration, true)]
    [InlineData(403, "ExpiredTokenException", """{"Message":"m"}""", ModelCallFailure.Configuration, true)]
    [InlineData(400, "IncompleteSignature", """{"Message":"m"}""", ModelCallFailure.Configuration, true)]
    [InlineData(404, "", "<html>", ModelCallFailure.Configuration, true)]
    [InlineData(413, "", "", ModelCallFailure.Validation, true)]
    [InlineData(502, "", "<html>bad gateway", ModelCallFailure.Unavailable, false)]
    [InlineData(302, "", "", ModelCallFailure.Unavailable, false)]
    public async Task Errors_are_told_apart_and_nothing_is_sent_twice(int status, string type, string body, ModelCallFailure expected, bool notSent)
    {
        await using var aws = await ScriptedAws.StartAsync(status, body, ("x-amzn-ErrorType", type.Length == 0 ? "" : $"{type}:http://internal.amazon.com/coral/"));
        var runtime = aws.Client<IModelRuntime>();

        var failures = new[]
        {
            await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeAsync(Call, None)),
            await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeStreamAsync(Call, None)),
            await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeAsynchronouslyAsync(new() { EndpointName = "e", InputLocation = "s3://b/k" }, None)),
        };

        Assert.All(failures, failure => Assert.Equal((expected, notSent), (failure.Failure, failure.NotSent)));
        Assert.All(failures, failure => Assert.NotEmpty(failure.Message));
        Assert.Equal(3, aws.Requests.Count);
        if (status == 424)
        {
            Assert.Equal((503, "out of memory"), (failures[0].OriginalStatusCode, failures[0].OriginalMessage));
        }
    }

    [Fact]
    public async Task The_error_type_is_also_read_from_the_body()
    {
        await using var aws = await ScriptedAws.StartAsync(400, """{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slow"}""");

        var failure = await Assert.ThrowsAsync<ModelCallException>(() => aws.Client<IModelRuntime>().InvokeAsync(Call, None));

        Assert.Equal(ModelCallFailure.Throttled, failure.Failure);
        Assert.Equal("slow", failure.Message);
    }

    [Fact]
    public async Task A_refused_connection_is_known_not_to_have_sent_anything()
    {
        // A port that is this test's, so that nobody else comes to listen on it.
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var port = ((IPEndPoint)silent.LocalEndPoint!).Port;
        await using var aws = await ScriptedAws.StartAsync(200, "");

        var failure = await Assert.ThrowsAsync<ModelCallException>(() =>
            aws.Client<IModelRuntime>(options => options.Endpoint = new($"http://127.0.0.1:{port}")).InvokeAsync(Call, None));

        Assert.Equal((ModelCallFailure.Unavailable, true), (failure.Failure, failure.NotSent));
    }

    [Fact]
    public async Task A_connection_that_breaks_off_leaves_it_open_whether_the_model_ran()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            context.Abort();
            return Task.CompletedTask;
        });

        var failure = await Assert.ThrowsAsync<ModelCallException>(() => aws.Client<IModelRuntime>().InvokeAsync(Call, None));

        Assert.Equal((ModelCallFailure.Unavailable, false), (failure.Failure, failure.NotSent));
        Assert.Single(aws.Requests);
    }

    [Fact]
    public async Task An_answer_that_takes_too_long_is_given_up()
    {
        await using var aws = await ScriptedAws.StartAsync((_, context) => NeverAsync(context.RequestAborted));

        var runtime = aws.Client<IModelRuntime>(options => options.InvocationTimeout = TimeSpan.FromMilliseconds(200));
        ModelCallException failure;
        do
        {
            // On a slow machine the time may be over before the call has arrived.
            failure = await Assert.ThrowsAsync<ModelCallException>(() => runtime.InvokeAsync(Call, None));
        }
        while (aws.Requests.Count == 0);

        Assert.Equal((ModelCallFailure.Unavailable, false), (failure.Failure, failure.NotSent));
    }

    [Fact]
    public async Task A_caller_who_gives_up_gets_a_cancellation_and_the_connection_is_closed()
    {
        var arrived = new TaskCompletionSource();
        var closed = new TaskCompletionSource();
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            context.RequestAborted.Register(closed.SetResult);
            arrived.SetResult();
            await NeverAsync(context.RequestAborted);
        });
        using var caller = new CancellationTokenSource();

        var call = aws.Client<IModelRuntime>().InvokeAsync(Call, caller.Token);
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await caller.CancelAsync();

        var cancellation = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(caller.Token, cancellation.CancellationToken);
        await closed.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Theory]
    [InlineData("a\r\nX-Amz-Evil: 1")]
    [InlineData("schön")]
    public async Task A_header_value_that_cannot_be_sent_as_it_is_is_refused_before_sending(string attributes)
    {
        await using var aws = await ScriptedAws.StartAsync(200, "");

        var failure = await Assert.ThrowsAsync<ModelCallException>(() => aws.Client<IModelRuntime>().InvokeAsync(Call with { CustomAttributes = attributes }, None));

        Assert.Equal((ModelCallFailure.Validation, true), (failure.Failure, failure.NotSent));
        Assert.Empty(aws.Requests);
    }

    [Fact]
    public async Task An_endpoint_name_cannot_lead_to_another_path()
    {
        await using var aws = await ScriptedAws.StartAsync(200, "");

        await aws.Client<IModelRuntime>().InvokeAsync(new() { EndpointName = "a/../b?c" }, None);

        Assert.Equal("/endpoints/a%2F..%2Fb%3Fc/invocations", aws.SingleRequest("sagemaker").Target);
    }

    [Fact]
    public async Task Connections_are_reused()
    {
        var ports = new System.Collections.Concurrent.ConcurrentDictionary<int, int>();
        await using var aws = await ScriptedAws.StartAsync((_, context) =>
        {
            ports.AddOrUpdate(context.Connection.RemotePort, 1, (_, count) => count + 1);
            return ScriptedAws.AnswerAsync(context, 200, "ok");
        });

        for (var i = 0; i < 20; i++)
        {
            await aws.Client<IModelRuntime>().InvokeAsync(Call, None);
        }

        Assert.Equal(20, Assert.Single(ports).Value);
    }

    private static async Task NeverAsync(CancellationToken aborted)
    {
        var ended = new TaskCompletionSource();
        using var registration = aborted.Register(ended.SetResult);
        await ended.Task;
    }
}
