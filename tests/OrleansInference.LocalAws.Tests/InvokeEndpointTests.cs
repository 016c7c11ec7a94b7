using System.Net;
using System.Text.Json;
using OrleansInference.Aws.EventStreams;

namespace OrleansInference.Tests;

public sealed class InvokeEndpointTests
{
    [Fact]
    public async Task Answers_with_usage_variant_and_the_models_attributes()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));

        using var response = await aws.InvokeAsync("chat-rt", LocalAwsFixture.Body(output: 3), headers: ("X-Amzn-SageMaker-Inference-Id", "one"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("full", response.Headers.GetValues("x-Amzn-Invoked-Production-Variant").Single());
        Assert.Equal("input-tokens=3;output-tokens=3", response.Headers.GetValues("X-Amzn-SageMaker-Custom-Attributes").Single());
        using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(3, answer.RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32());
        Assert.Equal("the cat saw", answer.RootElement.GetProperty("generated_text").GetString());
        Assert.Equal("one", Assert.Single(aws.Server.Invocations).InferenceId);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-rt"].Completed);
    }

    [Fact]
    public async Task Describes_its_endpoint()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, min: 2));

        var (status, endpoint) = await aws.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat-rt"}""");

        Assert.Equal(200, status);
        Assert.Equal("InService", endpoint.GetProperty("EndpointStatus").GetString());
        Assert.Equal(2, endpoint.GetProperty("ProductionVariants")[0].GetProperty("CurrentInstanceCount").GetInt32());
    }

    [Theory]
    [InlineData("nowhere", "{}", 400, "ValidationError")]
    [InlineData("bad_name", "{}", 400, "ValidationError")]
    [InlineData("chat-async", """{"inputs":"x"}""", 400, "ValidationError")]
    [InlineData("chat-rt", "{", 424, "ModelError")]
    [InlineData("chat-rt", """{"prompt":"x"}""", 424, "ModelError")]
    [InlineData("chat-rt", """{"inputs":"x","output_tokens":-1}""", 424, "ModelError")]
    public async Task Refuses_what_it_cannot_serve(string endpoint, string body, int status, string error)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime), LocalAwsFixture.Endpoint("chat-async", Lane.Async));

        using var response = await aws.InvokeAsync(endpoint, body);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(error, response.Headers.GetValues("x-amzn-ErrorType").Single());
        using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.NotEmpty(answer.RootElement.GetProperty("Message").GetString()!);
        if (error == "ModelError")
        {
            Assert.Equal(400, answer.RootElement.GetProperty("OriginalStatusCode").GetInt32());
            Assert.NotEmpty(answer.RootElement.GetProperty("OriginalMessage").GetString()!);
            Assert.Contains("/aws/sagemaker/Endpoints/chat-rt", answer.RootElement.GetProperty("LogStreamArn").GetString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Refuses_a_body_over_the_limit_and_takes_one_at_it()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));
        const int Limit = 6_291_456;
        var frame = """{"inputs":"","input_tokens":1,"output_tokens":1}""".Length;

        using var largest = await aws.InvokeAsync("chat-rt", $$"""{"inputs":"{{new string('x', Limit - frame)}}","input_tokens":1,"output_tokens":1}""");
        Assert.Equal(HttpStatusCode.OK, largest.StatusCode);

        using var larger = await aws.InvokeAsync("chat-rt", $$"""{"inputs":"{{new string('x', Limit - frame + 1)}}","input_tokens":1,"output_tokens":1}""");
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, larger.StatusCode);
    }

    [Fact]
    public async Task A_model_fails_as_often_as_its_error_rate_says()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, simulation: new() { ErrorRate = 1 }));

        using var response = await aws.InvokeAsync("chat-rt", LocalAwsFixture.Body());

        Assert.Equal(424, (int)response.StatusCode);
        using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(500, answer.RootElement.GetProperty("OriginalStatusCode").GetInt32());
    }

    [Fact]
    public async Task Streams_parts_that_join_to_the_answer()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { Speed = 10 }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime));
        using var whole = await aws.InvokeAsync("chat-rt", LocalAwsFixture.Body(output: 100));

        using var response = await StreamAsync(aws, LocalAwsFixture.Body(output: 100));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(EventStreamMessage.StreamContentType, response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("application/json", response.Headers.GetValues("X-Amzn-SageMaker-Content-Type").Single());
        var parts = new List<byte[]>();
        await using var reader = new EventStreamReader(await response.Content.ReadAsStreamAsync());
        await foreach (var message in reader.ReadAllAsync())
        {
            Assert.Equal("PayloadPart", message.EventType);
            parts.Add(message.Payload.ToArray());
        }

        Assert.True(parts.Count > 5);
        Assert.Equal(await whole.Content.ReadAsByteArrayAsync(), parts.SelectMany(p => p));
    }

    [Fact]
    public async Task A_stream_that_breaks_ends_with_a_ModelStreamError()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { Speed = 10 }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, simulation: new() { ErrorRate = 1 }));

        using var response = await StreamAsync(aws, LocalAwsFixture.Body(output: 100));

        await using var reader = new EventStreamReader(await response.Content.ReadAsStreamAsync());
        EventStreamMessage? last = null;
        await foreach (var message in reader.ReadAllAsync())
        {
            last = message;
        }

        Assert.Equal("exception", last!.MessageType);
        Assert.Equal("ModelStreamError", last.ExceptionType);
        using var error = JsonDocument.Parse(last.Payload);
        Assert.Equal("StreamBroken", error.RootElement.GetProperty("ErrorCode").GetString());
    }

    private static Task<HttpResponseMessage> StreamAsync(LocalAwsFixture aws, string body) =>
        aws.SendAsync(HttpMethod.Post, "/endpoints/chat-rt/invocations-response-stream", body, headers: [("Content-Type", "application/json")]);
}
