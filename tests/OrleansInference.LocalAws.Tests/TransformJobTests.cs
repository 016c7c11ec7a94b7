using System.Text;
using System.Text.Json;

namespace OrleansInference.Tests;

public sealed class TransformJobTests
{
    private static readonly EndpointDefinition Model = LocalAwsFixture.Endpoint("chat-batch", Lane.Batch, concurrency: 4, simulation: new() { BaseSeconds = 0.1, Jitter = 0, StartSeconds = 5 });

    [Fact]
    public async Task A_bad_record_loses_its_object_and_no_other()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { Speed = 100 }, Model);
        await PutAsync(aws, "in/one.jsonl", LocalAwsFixture.Body(1) + "\n" + LocalAwsFixture.Body(2) + "\n");
        await PutAsync(aws, "in/two.jsonl", LocalAwsFixture.Body(1) + "\nnonsense\n");
        await PutAsync(aws, "in/three.jsonl", LocalAwsFixture.Body(3));

        Assert.Equal(200, (await aws.ControlAsync("CreateTransformJob", Job("job-1"))).Status);
        var job = await EndAsync(aws, "job-1");

        Assert.Equal("Failed", job.GetProperty("TransformJobStatus").GetString());
        Assert.Equal("ClientError: See job logs for more information", job.GetProperty("FailureReason").GetString());
        Assert.True(job.GetProperty("TransformStartTime").GetDouble() >= job.GetProperty("CreationTime").GetDouble() + 4.9);
        Assert.True(job.GetProperty("TransformEndTime").GetDouble() >= job.GetProperty("TransformStartTime").GetDouble());
        Assert.Equal(["out/one.jsonl.out", "out/three.jsonl.out"], (await aws.S3.ListObjectsV2Async(new() { BucketName = "orleans-inference", Prefix = "out/" })).S3Objects.Select(o => o.Key));
        var lines = (await ReadAsync(aws, "out/one.jsonl.out")).Split('\n');
        Assert.Equal([1, 2], lines.Select(OutputTokens));
    }

    [Fact]
    public async Task A_name_is_used_once_and_an_unknown_one_is_not_found()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new() { Speed = 100 }, Model);
        await PutAsync(aws, "in/one.jsonl", LocalAwsFixture.Body(1));

        Assert.Equal(200, (await aws.ControlAsync("CreateTransformJob", Job("job-1"))).Status);
        var again = await aws.ControlAsync("CreateTransformJob", Job("job-1"));
        Assert.Equal(400, again.Status);
        Assert.Equal("ResourceInUse", again.Answer.GetProperty("__type").GetString());

        Assert.Equal("ResourceNotFound", (await aws.ControlAsync("DescribeTransformJob", """{"TransformJobName":"job-2"}""")).Answer.GetProperty("__type").GetString());
        Assert.Equal("ValidationException", (await aws.ControlAsync("CreateTransformJob", Job("job-3", "nowhere"))).Answer.GetProperty("__type").GetString());
        Assert.Equal("UnknownOperationException", (await aws.ControlAsync("CreateHyperThing", "{}")).Answer.GetProperty("__type").GetString());
        Assert.Equal("Completed", (await EndAsync(aws, "job-1")).GetProperty("TransformJobStatus").GetString());
    }

    [Fact]
    public async Task A_job_can_be_stopped()
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-batch", Lane.Batch, simulation: new() { StartSeconds = 100_000 }));
        await PutAsync(aws, "in/one.jsonl", LocalAwsFixture.Body(1));
        await aws.ControlAsync("CreateTransformJob", Job("job-1"));

        Assert.Equal(200, (await aws.ControlAsync("StopTransformJob", """{"TransformJobName":"job-1"}""")).Status);

        var job = await EndAsync(aws, "job-1");
        Assert.Equal("Stopped", job.GetProperty("TransformJobStatus").GetString());
        Assert.False(job.TryGetProperty("TransformStartTime", out _));
        Assert.Equal(400, (await aws.ControlAsync("StopTransformJob", """{"TransformJobName":"job-1"}""")).Status);
    }

    [Fact]
    public async Task Records_run_at_once_up_to_the_instances_and_their_concurrency()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(new() { Clock = clock.Router }, Model with { Simulation = Model.Simulation! with { BaseSeconds = 30 } });
        for (var i = 0; i < 4; i++)
        {
            await PutAsync(aws, $"in/{i}.jsonl", string.Join('\n', Enumerable.Repeat(LocalAwsFixture.Body(50), 20)));
        }

        await aws.ControlAsync("CreateTransformJob", Job("job-1", instances: 2));

        // Once it has started the clock stands, and none ends before all that may run do.
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        for (int serving; (serving = aws.Server.InvocationCounts.GetValueOrDefault("chat-batch")?.Serving ?? 0) < 8;)
        {
            clock.Advance(serving == 0 ? 1 : 0);
            await Task.Delay(5, timeout.Token);
        }

        await clock.RunAsync(EndAsync(aws, "job-1"));

        Assert.Equal(8, aws.Server.InvocationCounts["chat-batch"].MaxServing);
        Assert.Equal(80, aws.Server.InvocationCounts["chat-batch"].Completed);
    }

    internal static string Job(string name, string model = "chat-batch", int instances = 1) => JsonSerializer.Serialize(new
    {
        TransformJobName = name,
        ModelName = model,
        BatchStrategy = "MultiRecord",
        TransformInput = new { DataSource = new { S3DataSource = new { S3DataType = "S3Prefix", S3Uri = "s3://orleans-inference/in/" } }, SplitType = "Line", ContentType = "application/json" },
        TransformOutput = new { S3OutputPath = "s3://orleans-inference/out/", AssembleWith = "Line" },
        TransformResources = new { InstanceType = "ml.g5.xlarge", InstanceCount = instances },
    });

    internal static async Task<JsonElement> EndAsync(LocalAwsFixture aws, string name)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var (_, job) = await aws.ControlAsync("DescribeTransformJob", $$"""{"TransformJobName":"{{name}}"}""");
            if (job.GetProperty("TransformJobStatus").GetString() is "Completed" or "Failed" or "Stopped")
            {
                return job;
            }

            await Task.Delay(20, timeout.Token);
        }
    }

    internal static Task PutAsync(LocalAwsFixture aws, string key, string body) =>
        aws.S3.PutObjectAsync(new() { BucketName = "orleans-inference", Key = key, ContentBody = body });

    internal static async Task<string> ReadAsync(LocalAwsFixture aws, string key)
    {
        using var response = await aws.S3.GetObjectAsync("orleans-inference", key);
        using var reader = new StreamReader(response.ResponseStream, Encoding.UTF8);
        return await reader.ReadToEndAsync();
    }

    private static int OutputTokens(string line)
    {
        using var answer = JsonDocument.Parse(line);
        return answer.RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32();
    }
}
