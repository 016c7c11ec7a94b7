using System.Net;
using System.Text.Json;
using Amazon.SQS.Model;

namespace OrleansInference.Tests;

public sealed class AsyncInvocationTests
{
    [Fact]
    public async Task Writes_the_output_and_notifies()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { NotificationQueue = "done" }, LocalAwsFixture.Endpoint("chat-async", Lane.Async));
        await TransformJobTests.PutAsync(aws, "in/one.json", LocalAwsFixture.Body(7));

        using var response = await InvokeAsync(aws, "s3://orleans-inference/in/one.json", ("X-Amzn-SageMaker-Inference-Id", "job-7"));

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        using var receipt = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal("job-7", receipt.RootElement.GetProperty("InferenceId").GetString());
        var output = response.Headers.GetValues("X-Amzn-SageMaker-OutputLocation").Single();
        Assert.StartsWith("s3://orleans-inference/async-endpoints/chat-async/failure/", response.Headers.GetValues("X-Amzn-SageMaker-FailureLocation").Single(), StringComparison.Ordinal);

        using var message = await NotificationAsync(aws);
        Assert.Equal("Completed", message.RootElement.GetProperty("invocationStatus").GetString());
        Assert.Equal("job-7", message.RootElement.GetProperty("inferenceId").GetString());
        Assert.Equal("s3://orleans-inference/in/one.json", message.RootElement.GetProperty("requestParameters").GetProperty("inputLocation").GetString());
        Assert.Equal(output, message.RootElement.GetProperty("responseParameters").GetProperty("outputLocation").GetString());
        using var answer = JsonDocument.Parse(await TransformJobTests.ReadAsync(aws, output["s3://orleans-inference/".Length..]));
        Assert.Equal(7, answer.RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32());
    }

    [Theory]
    [InlineData("s3://orleans-inference/in/one.json", "Received client error (400)")]
    [InlineData("s3://orleans-inference/in/none.json", "does not exist")]
    public async Task Writes_why_it_failed_and_notifies(string input, string reason)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { NotificationQueue = "done" }, LocalAwsFixture.Endpoint("chat-async", Lane.Async));
        await TransformJobTests.PutAsync(aws, "in/one.json", "nonsense");

        using var response = await InvokeAsync(aws, input);

        using var message = await NotificationAsync(aws);
        Assert.Equal("Failed", message.RootElement.GetProperty("invocationStatus").GetString());
        Assert.Contains(reason, message.RootElement.GetProperty("failureReason").GetString(), StringComparison.Ordinal);
        var failure = response.Headers.GetValues("X-Amzn-SageMaker-FailureLocation").Single();
        Assert.Contains(reason, await TransformJobTests.ReadAsync(aws, failure["s3://orleans-inference/".Length..]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("X-Amzn-SageMaker-InputLocation", "ftp://nowhere")]
    [InlineData("X-Amzn-SageMaker-RequestTTLSeconds", "59")]
    [InlineData("X-Amzn-SageMaker-InvocationTimeoutSeconds", "3601")]
    public async Task Refuses_bad_headers(string header, string value)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-async", Lane.Async));

        using var response = await InvokeAsync(aws, header.EndsWith("InputLocation", StringComparison.Ordinal) ? value : "s3://orleans-inference/in/one.json", (header == "X-Amzn-SageMaker-InputLocation" ? "X-Other" : header, value));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("ValidationError", response.Headers.GetValues("x-amzn-ErrorType").Single());
    }

    [Fact]
    public async Task Waits_while_there_is_no_instance_and_expires_after_its_time()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(new() { NotificationQueue = "done", Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-async", Lane.Async, min: 0));
        await TransformJobTests.PutAsync(aws, "in/one.json", LocalAwsFixture.Body());

        using var response = await InvokeAsync(aws, "s3://orleans-inference/in/one.json", ("X-Amzn-SageMaker-RequestTTLSeconds", "60"));
        Assert.Equal(1, aws.Server.InvocationCounts["chat-async"].InFlight);
        Assert.Equal(0, aws.Server.InvocationCounts["chat-async"].Serving);
        clock.Advance(61);

        using var message = await NotificationAsync(aws, clock);
        Assert.Equal("Failed", message.RootElement.GetProperty("invocationStatus").GetString());
    }

    internal static Task<HttpResponseMessage> InvokeAsync(LocalAwsFixture aws, string input, params (string Name, string Value)[] headers) => aws.SendAsync(
        HttpMethod.Post, "/endpoints/chat-async/async-invocations", headers: [("X-Amzn-SageMaker-InputLocation", input), ("X-Amzn-SageMaker-Content-Type", "application/json"), .. headers]);

    internal static async Task<JsonDocument> NotificationAsync(LocalAwsFixture aws, ManualClock? clock = null)
    {
        var queue = (await aws.Sqs.GetQueueUrlAsync("done")).QueueUrl;
        var receive = aws.Sqs.ReceiveMessageAsync(new ReceiveMessageRequest { QueueUrl = queue, WaitTimeSeconds = 20 });
        var received = clock is null ? await receive : await clock.RunAsync(receive);
        using var envelope = JsonDocument.Parse(Assert.Single(received.Messages).Body);
        Assert.Equal("Notification", envelope.RootElement.GetProperty("Type").GetString());
        return JsonDocument.Parse(envelope.RootElement.GetProperty("Message").GetString()!);
    }
}
