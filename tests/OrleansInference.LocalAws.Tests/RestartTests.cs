using Amazon.SQS.Model;
using OrleansInference.LocalAws;

namespace OrleansInference.Tests;

public sealed class RestartTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-local-aws-").FullName;

    [Fact]
    public async Task Objects_messages_calls_and_jobs_outlive_a_restart()
    {
        var options = new LocalAwsOptions { DataFolder = _folder, NotificationQueue = "done" };
        var slow = new SimulatedModel { StartSeconds = 100_000, BaseSeconds = 600, Jitter = 0 };
        var large = new byte[300_000];
        new Random(3).NextBytes(large);
        string queue;
        await using (var aws = await LocalAwsFixture.StartAsync(options, LocalAwsFixture.Endpoint("chat-async", Lane.Async, simulation: slow), LocalAwsFixture.Endpoint("chat-batch", Lane.Batch, simulation: slow)))
        {
            queue = (await aws.Sqs.CreateQueueAsync(new CreateQueueRequest { QueueName = "work", Attributes = new() { ["VisibilityTimeout"] = "77" } })).QueueUrl;
            await aws.Sqs.SendMessageAsync(queue, "kept");
            await TransformJobTests.PutAsync(aws, "in/one.json", LocalAwsFixture.Body(5));
            await aws.S3.PutObjectAsync(new() { BucketName = "orleans-inference", Key = "large", InputStream = new MemoryStream(large) });
            using var first = await AsyncInvocationTests.InvokeAsync(aws, "s3://orleans-inference/in/one.json", ("X-Amzn-SageMaker-Inference-Id", "first"));
            using var second = await AsyncInvocationTests.InvokeAsync(aws, "s3://orleans-inference/in/one.json", ("X-Amzn-SageMaker-Inference-Id", "second"));
            await aws.ControlAsync("CreateTransformJob", TransformJobTests.Job("job-1"));
            Assert.Equal(1, aws.Server.InvocationCounts["chat-async"].Serving);
        }

        await using var later = await LocalAwsFixture.StartAsync(options);

        // The catalog was kept, too; a quicker one lets what waits come to its end.
        Assert.Equal(200, (await later.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat-async"}""")).Status);
        using var got = await later.S3.GetObjectAsync("orleans-inference", "large");
        using var copy = new MemoryStream();
        await got.ResponseStream.CopyToAsync(copy);
        Assert.Equal(large, copy.ToArray());
        queue = (await later.Sqs.GetQueueUrlAsync("work")).QueueUrl;
        Assert.Equal("kept", Assert.Single((await later.Sqs.ReceiveMessageAsync(queue)).Messages).Body);
        Assert.Equal(77, (await later.Sqs.GetQueueAttributesAsync(queue, ["All"])).VisibilityTimeout);
        Assert.Equal("InProgress", (await later.ControlAsync("DescribeTransformJob", """{"TransformJobName":"job-1"}""")).Answer.GetProperty("TransformJobStatus").GetString());
        await later.DisposeAsync();

        await using var quick = await LocalAwsFixture.StartAsync(options with { Speed = 1000 });
        await quick.Server.ApplyCatalogAsync(LocalAwsFixture.Catalog(
            LocalAwsFixture.Endpoint("chat-async", Lane.Async), LocalAwsFixture.Endpoint("chat-batch", Lane.Batch)));
        var ids = new HashSet<string?>();
        while (ids.Count < 2)
        {
            using var message = await AsyncInvocationTests.NotificationAsync(quick);
            Assert.Equal("Completed", message.RootElement.GetProperty("invocationStatus").GetString());
            Assert.True(ids.Add(message.RootElement.GetProperty("inferenceId").GetString()));
        }

        Assert.Equal(["first", "second"], ids.Order());
    }

    [Fact]
    public async Task A_job_under_way_ends_after_a_restart()
    {
        var options = new LocalAwsOptions { DataFolder = _folder };
        await using (var aws = await LocalAwsFixture.StartAsync(options, LocalAwsFixture.Endpoint("chat-batch", Lane.Batch, simulation: new() { StartSeconds = 20 })))
        {
            await TransformJobTests.PutAsync(aws, "in/one.jsonl", LocalAwsFixture.Body(5));
            await aws.ControlAsync("CreateTransformJob", TransformJobTests.Job("job-1"));
        }

        await using var later = await LocalAwsFixture.StartAsync(options with { Speed = 1000 });

        Assert.Equal("Completed", (await TransformJobTests.EndAsync(later, "job-1")).GetProperty("TransformJobStatus").GetString());
        Assert.Contains("generated_text", await TransformJobTests.ReadAsync(later, "out/one.jsonl.out"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_and_an_asynchronous_endpoint_that_have_left_the_catalog_still_serve_over_a_restart_too()
    {
        var options = new LocalAwsOptions { DataFolder = _folder, Speed = 1000 };
        await using (var aws = await LocalAwsFixture.StartAsync(options, LocalAwsFixture.Endpoint("chat-batch", Lane.Batch), LocalAwsFixture.Endpoint("chat-async", Lane.Async), LocalAwsFixture.Endpoint("chat", Lane.Realtime)))
        {
            await TransformJobTests.PutAsync(aws, "in/one.jsonl", LocalAwsFixture.Body(5));
            await aws.Server.ApplyCatalogAsync(LocalAwsFixture.Catalog(LocalAwsFixture.Endpoint("other", Lane.Realtime)));
            Assert.Equal(400, (await aws.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat"}""")).Status);
            Assert.Equal(200, (await aws.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat-async"}""")).Status);
            await aws.ControlAsync("CreateTransformJob", TransformJobTests.Job("job-1"));
            Assert.Equal("Completed", (await TransformJobTests.EndAsync(aws, "job-1")).GetProperty("TransformJobStatus").GetString());
        }

        await using var later = await LocalAwsFixture.StartAsync(options);
        Assert.Equal(200, (await later.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat-async"}""")).Status);
        await later.ControlAsync("CreateTransformJob", TransformJobTests.Job("job-2"));
        Assert.Equal("Completed", (await TransformJobTests.EndAsync(later, "job-2")).GetProperty("TransformJobStatus").GetString());
    }

    [Fact]
    public async Task Two_servers_do_not_share_a_folder_or_a_port()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { DataFolder = _folder });

        var folder = await Assert.ThrowsAsync<LocalAwsException>(() => LocalAwsServer.StartAsync(new() { DataFolder = _folder }));
        Assert.Equal(LocalAwsProblem.DataFolder, folder.Problem);
        Assert.Contains(_folder, folder.Message, StringComparison.Ordinal);
        var port = await Assert.ThrowsAsync<LocalAwsException>(() => LocalAwsServer.StartAsync(new() { Port = aws.Server.Address.Port }));
        Assert.Equal(LocalAwsProblem.Port, port.Problem);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
