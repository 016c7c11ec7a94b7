using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Clients;

public sealed class ControlPlaneTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private static readonly TransformJobRequest Job = new()
    {
        JobName = "w-2026-1",
        ModelName = "llm-7b",
        InputPrefix = "s3://in/w/1/",
        OutputPrefix = "s3://out/w/1/",
        InstanceType = "ml.g5.xlarge",
        InstanceCount = 2,
        MaxConcurrentTransforms = 4,
        Tags = new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" },
    };

    [Fact]
    public async Task DescribeEndpoint_is_asked_and_read_as_the_service_model_says()
    {
        await using var aws = await ScriptedAws.StartAsync(200,
            """{"EndpointName":"e","EndpointStatus":"Updating","FailureReason":"why","CreationTime":1.7e9,"ProductionVariants":[{"VariantName":"v","CurrentInstanceCount":1,"DesiredInstanceCount":3,"CurrentWeight":1.0}]}""");

        var description = await aws.Client<IEndpointControl>().DescribeAsync("e", None);

        Assert.Equal(new EndpointDescription { Status = "Updating", VariantName = "v", CurrentInstanceCount = 1, DesiredInstanceCount = 3, FailureReason = "why" }, description);
        var request = aws.SingleRequest("sagemaker");
        Assert.Equal(("POST", "/"), (request.Method, request.Target));
        Assert.Equal("SageMaker.DescribeEndpoint", request.Header("X-Amz-Target"));
        Assert.Equal("application/x-amz-json-1.1", request.Header("Content-Type"));
        AssertJson("""{"EndpointName":"e"}""", request);
    }

    [Fact]
    public async Task An_endpoint_without_variants_yet_has_no_instances()
    {
        await using var aws = await ScriptedAws.StartAsync(200, """{"EndpointStatus":"Creating"}""");

        Assert.Equal(new EndpointDescription { Status = "Creating", VariantName = "" }, await aws.Client<IEndpointControl>().DescribeAsync("e", None));
    }

    [Fact]
    public async Task An_unknown_endpoint_is_null_and_other_refusals_are_not()
    {
        await using var unknown = await ScriptedAws.StartAsync(400, """{"__type":"ValidationException","message":"Could not find endpoint \"arn\"."}""");
        Assert.Null(await unknown.Client<IEndpointControl>().DescribeAsync("e", None));

        await using var denied = await ScriptedAws.StartAsync(400, """{"__type":"AccessDeniedException","Message":"no"}""");
        var failure = await Assert.ThrowsAsync<SageMakerException>(() => denied.Client<IEndpointControl>().DescribeAsync("e", None));
        Assert.Equal(("DescribeEndpoint", "AccessDeniedException", 400), (failure.Operation, failure.ErrorType, failure.Status));
        Assert.Single(denied.Requests);
    }

    [Fact]
    public async Task UpdateEndpointWeightsAndCapacities_names_the_variant_and_its_instances()
    {
        await using var aws = await ScriptedAws.StartAsync(200, """{"EndpointArn":"arn"}""");

        Assert.True(await aws.Client<IEndpointControl>().SetDesiredInstancesAsync("e", "v", 3, None));

        var request = aws.SingleRequest("sagemaker");
        Assert.Equal("SageMaker.UpdateEndpointWeightsAndCapacities", request.Header("X-Amz-Target"));
        AssertJson("""{"EndpointName":"e","DesiredWeightsAndCapacities":[{"VariantName":"v","DesiredInstanceCount":3}]}""", request);
    }

    [Fact]
    public async Task Provisioned_concurrency_is_set_by_the_serverless_config_and_read_from_it()
    {
        await using var aws = await ScriptedAws.StartAsync(200, """{"EndpointArn":"arn","EndpointStatus":"InService","ProductionVariants":[{"VariantName":"v","CurrentServerlessConfig":{"MemorySizeInMB":2048,"MaxConcurrency":9,"ProvisionedConcurrency":2},"DesiredServerlessConfig":{"ProvisionedConcurrency":5}}]}""");

        Assert.True(await aws.Client<IEndpointControl>().SetProvisionedConcurrencyAsync("e", "v", 5, None));

        AssertJson("""{"EndpointName":"e","DesiredWeightsAndCapacities":[{"VariantName":"v","ServerlessUpdateConfig":{"ProvisionedConcurrency":5}}]}""", aws.SingleRequest("sagemaker"));
        var described = await aws.Client<IEndpointControl>().DescribeAsync("e", None);
        Assert.Equal((2, 5), (described!.CurrentInstanceCount, described.DesiredInstanceCount));
    }

    [Theory]
    [InlineData("ValidationException", "Updating", false)]
    [InlineData("ValidationException", "InService", null)]
    [InlineData("ResourceInUse", "Updating", false)]
    [InlineData("ResourceLimitExceeded", "InService", null)]
    public async Task A_refused_change_is_false_only_if_the_endpoint_is_busy(string error, string status, bool? expected)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => request.Header("X-Amz-Target") == "SageMaker.DescribeEndpoint"
            ? ScriptedAws.AnswerAsync(context, 200, $$"""{"EndpointStatus":"{{status}}"}""")
            : ScriptedAws.AnswerAsync(context, 400, $$"""{"__type":"{{error}}","message":"refused"}"""));
        var control = aws.Client<IEndpointControl>();

        if (expected is { } value)
        {
            Assert.Equal(value, await control.SetDesiredInstancesAsync("e", "v", 3, None));
        }
        else
        {
            var failure = await Assert.ThrowsAsync<SageMakerException>(() => control.SetDesiredInstancesAsync("e", "v", 3, None));
            Assert.Equal(error, failure.ErrorType);
        }
    }

    [Fact]
    public async Task CreateTransformJob_splits_by_line_and_bounds_what_is_in_memory()
    {
        await using var aws = await ScriptedAws.StartAsync(200, """{"TransformJobArn":"arn"}""");

        await aws.Client<ITransformJobs>().StartAsync(Job, None);

        var request = aws.SingleRequest("sagemaker");
        Assert.Equal("SageMaker.CreateTransformJob", request.Header("X-Amz-Target"));
        AssertJson(
            """
            {
              "TransformJobName": "w-2026-1", "ModelName": "llm-7b", "BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 4, "MaxPayloadInMB": 6,
              "ModelClientConfig": { "InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 3 },
              "TransformInput": { "DataSource": { "S3DataSource": { "S3DataType": "S3Prefix", "S3Uri": "s3://in/w/1/" } }, "ContentType": "application/json", "SplitType": "Line", "CompressionType": "None" },
              "TransformOutput": { "S3OutputPath": "s3://out/w/1/", "Accept": "application/json", "AssembleWith": "Line" },
              "TransformResources": { "InstanceType": "ml.g5.xlarge", "InstanceCount": 2 },
              "Tags": [ { "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" } ]
            }
            """,
            request);
    }

    [Theory]
    [InlineData(16, 6)]
    [InlineData(20, 5)]
    [InlineData(100, 1)]
    public async Task Concurrency_times_payload_stays_within_what_SageMaker_takes(int concurrency, int megabytes)
    {
        await using var aws = await ScriptedAws.StartAsync(200, "{}");

        await aws.Client<ITransformJobs>().StartAsync(Job with { MaxConcurrentTransforms = concurrency, Tags = new Dictionary<string, string>() }, None);

        using var json = JsonDocument.Parse(aws.SingleRequest("sagemaker").Body);
        Assert.Equal(megabytes, json.RootElement.GetProperty("MaxPayloadInMB").GetInt32());
        Assert.False(json.RootElement.TryGetProperty("Tags", out _));
    }

    [Fact]
    public async Task A_job_name_in_use_means_that_it_was_started_before()
    {
        await using var aws = await ScriptedAws.StartAsync(400, """{"__type":"ResourceInUse","Message":"Job name must be unique"}""");

        await aws.Client<ITransformJobs>().StartAsync(Job, None);

        Assert.Single(aws.Requests);
    }

    [Fact]
    public async Task DescribeTransformJob_reads_state_and_times()
    {
        await using var aws = await ScriptedAws.StartAsync(200,
            """{"TransformJobStatus":"Failed","FailureReason":"AlgorithmError","TransformStartTime":1700000000.25,"TransformEndTime":1700000060}""");

        var job = await aws.Client<ITransformJobs>().DescribeAsync("w", None);

        Assert.Equal(
            new TransformJobDescription
            {
                State = TransformJobState.Failed,
                FailureReason = "AlgorithmError",
                StartedAt = DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_250),
                EndedAt = DateTimeOffset.FromUnixTimeSeconds(1_700_000_060),
            },
            job);
        AssertJson("""{"TransformJobName":"w"}""", aws.SingleRequest("sagemaker"));
    }

    [Theory]
    [InlineData("""{"__type":"ResourceNotFound","Message":"x"}""")]
    [InlineData("""{"__type":"com.amazonaws.sagemaker#ValidationException","message":"Could not find requested job with name: w"}""")]
    public async Task An_unknown_job_is_null_and_stopping_it_is_harmless(string error)
    {
        await using var aws = await ScriptedAws.StartAsync(400, error);

        Assert.Null(await aws.Client<ITransformJobs>().DescribeAsync("w", None));
        await aws.Client<ITransformJobs>().StopAsync("w", None);
    }

    [Theory]
    [InlineData("Completed", true)]
    [InlineData("Stopping", true)]
    [InlineData("InProgress", false)]
    public async Task Stopping_a_job_that_has_ended_is_harmless(string status, bool harmless)
    {
        await using var aws = await ScriptedAws.StartAsync((request, context) => request.Header("X-Amz-Target") == "SageMaker.DescribeTransformJob"
            ? ScriptedAws.AnswerAsync(context, 200, $$"""{"TransformJobStatus":"{{status}}"}""")
            : ScriptedAws.AnswerAsync(context, 400, """{"__type":"ValidationException","message":"The request was rejected"}"""));

        var failure = await Record.ExceptionAsync(() => aws.Client<ITransformJobs>().StopAsync("w", None));

        Assert.Equal(harmless, failure is null);
    }

    [Theory]
    [InlineData(400, "ThrottlingException")]
    [InlineData(429, "")]
    [InlineData(500, "InternalFailure")]
    [InlineData(503, "")]
    public async Task What_is_throttled_or_fails_inside_AWS_is_repeated(int status, string type)
    {
        var calls = 0;
        await using var aws = await ScriptedAws.StartAsync((_, context) => Interlocked.Increment(ref calls) < 3
            ? ScriptedAws.AnswerAsync(context, status, $$"""{"__type":"{{type}}"}""")
            : ScriptedAws.AnswerAsync(context, 200, """{"EndpointStatus":"InService"}"""));

        Assert.Equal("InService", (await aws.Client<IEndpointControl>().DescribeAsync("e", None))!.Status);

        Assert.Equal(3, aws.Requests.Count);
        Assert.Null(aws.SignatureProblem);
    }

    [Fact]
    public async Task A_broken_connection_and_a_silent_server_are_repeated_and_then_given_up()
    {
        var calls = 0;
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            var ended = new TaskCompletionSource();
            context.RequestAborted.Register(ended.SetResult);
            if (Interlocked.Increment(ref calls) == 1)
            {
                context.Abort();
            }

            await ended.Task;
        });

        var failure = await Assert.ThrowsAsync<SageMakerException>(() => aws.Client<IEndpointControl>(options =>
        {
            // Each try must have come before its time is over, on a slow machine too.
            options.ControlPlaneTimeout = TimeSpan.FromSeconds(2);
            options.MaxAttempts = 3;
        }).DescribeAsync("e", None));

        Assert.Null(failure.Status);
        Assert.Equal(3, aws.Requests.Count);
    }

    [Fact]
    public async Task A_caller_who_gives_up_ends_the_repetitions()
    {
        using var caller = new CancellationTokenSource();
        await using var aws = await ScriptedAws.StartAsync(async (_, context) =>
        {
            await caller.CancelAsync();
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        });

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => aws.Client<IEndpointControl>().DescribeAsync("e", caller.Token));

        Assert.Single(aws.Requests);
    }

    [Fact]
    public void Waits_double_up_to_a_bound_and_are_drawn_from_the_whole_range()
    {
        var policy = new RetryPolicy(10, TimeSpan.FromMilliseconds(200));

        Assert.Equal(TimeSpan.Zero, policy.DelayAfter(3, 0));
        Assert.Equal([200, 400, 800, 1600], Enumerable.Range(1, 4).Select(attempt => policy.DelayAfter(attempt, 1).TotalMilliseconds));
        Assert.Equal(TimeSpan.FromSeconds(10), policy.DelayAfter(60, 0.5));
    }

    private static void AssertJson(string expected, WireRequest request)
    {
        using var want = JsonDocument.Parse(expected);
        using var got = JsonDocument.Parse(request.Body);
        Assert.True(JsonElement.DeepEquals(want.RootElement, got.RootElement), request.Text);
    }
}
