using System.Globalization;
using System.Text.Json;

namespace OrleansInference.Tests;

public sealed class CapacityTests
{
    [Fact]
    public async Task An_instance_serves_only_so_many_at_once_and_throttles_when_its_queue_is_full()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(
            new() { Clock = clock.Router, QueuePerInstance = 3 },
            LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, concurrency: 2, simulation: new() { BaseSeconds = 10, Jitter = 0 }));

        var calls = Enumerable.Range(0, 6).Select(_ => aws.InvokeAsync("chat-rt", LocalAwsFixture.Body())).ToList();
        var throttled = await await Task.WhenAny(calls);
        await UntilAsync(() => aws.Server.InvocationCounts["chat-rt"] is { InFlight: 5, Serving: 2 });
        Assert.Equal(400, (int)throttled.StatusCode);
        Assert.Equal("ThrottlingException", throttled.Headers.GetValues("x-amzn-ErrorType").Single());

        await clock.RunAsync(Task.WhenAll(calls));

        Assert.Equal(5, calls.Count(c => c.Result.IsSuccessStatusCode));
        var counts = aws.Server.InvocationCounts["chat-rt"];
        Assert.Equal((2, 6, 5L, 1L), (counts.MaxServing, counts.MaxInFlight, counts.Completed, counts.Throttled));
    }

    [Fact]
    public async Task A_request_that_cannot_end_within_a_minute_is_a_model_error()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(new() { Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, simulation: new() { BaseSeconds = 100, Jitter = 0 }));

        var response = await clock.RunAsync(aws.InvokeAsync("chat-rt", LocalAwsFixture.Body()));

        Assert.Equal(424, (int)response.StatusCode);
        Assert.Contains("timed out", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task New_instances_serve_when_they_are_up_and_a_second_change_is_refused_meanwhile()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(new() { Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, simulation: new() { StartSeconds = 200 }));

        Assert.Equal(200, (await ScaleAsync(aws, "chat-rt", 3)).Status);
        Assert.Equal(("Updating", 1, 3), await DescribeAsync(aws, "chat-rt"));
        var second = await ScaleAsync(aws, "chat-rt", 2);
        Assert.Equal(400, second.Status);
        Assert.Contains("in-progress", second.Answer.GetProperty("message").GetString(), StringComparison.Ordinal);

        clock.Advance(199);
        Assert.Equal(("Updating", 1, 3), await DescribeAsync(aws, "chat-rt"));
        clock.Advance(1);
        await UntilAsync(async () => await DescribeAsync(aws, "chat-rt") == ("InService", 3, 3));
        clock.Advance(10);
        Assert.Equal(230, aws.Server.InstanceSeconds["chat-rt"], precision: 1);

        // Released instances take no new request, and the endpoint is updating until they are gone.
        Assert.Equal(200, (await ScaleAsync(aws, "chat-rt", 1)).Status);
        Assert.Equal(("Updating", 1, 1), await DescribeAsync(aws, "chat-rt"));
    }

    [Theory]
    [InlineData("chat-rt", 0)]
    [InlineData("chat-rt", -1)]
    [InlineData("chat-sl", 1)]
    [InlineData("nowhere", 1)]
    public async Task Refuses_a_capacity_that_cannot_be(string endpoint, int instances)
    {
        await using var aws = await LocalAwsFixture.StartAsync(new(), LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime), LocalAwsFixture.Endpoint("chat-sl", Lane.Serverless));

        var (status, answer) = await ScaleAsync(aws, endpoint, instances);

        Assert.Equal(400, status);
        Assert.Equal("ValidationException", answer.GetProperty("__type").GetString());
    }

    [Fact]
    public async Task A_serverless_endpoint_starts_cold_stays_warm_for_a_while_and_throttles_beyond_its_concurrency()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(
            new() { Clock = clock.Router },
            LocalAwsFixture.Endpoint("chat-sl", Lane.Serverless, max: 2, simulation: new() { BaseSeconds = 1, Jitter = 0, StartSeconds = 20, KeepWarmSeconds = 3_600 }));

        Assert.True((await clock.RunAsync(aws.InvokeAsync("chat-sl", LocalAwsFixture.Body()))).IsSuccessStatusCode);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-sl"].ColdStarts);

        Assert.True((await clock.RunAsync(aws.InvokeAsync("chat-sl", LocalAwsFixture.Body()))).IsSuccessStatusCode);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-sl"].ColdStarts);

        clock.Advance(3_601);
        var calls = Enumerable.Range(0, 3).Select(_ => aws.InvokeAsync("chat-sl", LocalAwsFixture.Body())).ToList();
        var throttled = await await Task.WhenAny(calls);
        Assert.Equal("ThrottlingException", throttled.Headers.GetValues("x-amzn-ErrorType").Single());
        await clock.RunAsync(Task.WhenAll(calls));
        Assert.Equal(2, calls.Count(c => c.Result.IsSuccessStatusCode));
        Assert.Equal(3, aws.Server.InvocationCounts["chat-sl"].ColdStarts);
        Assert.Equal(2, aws.Server.InvocationCounts["chat-sl"].MaxServing);
    }

    [Fact]
    public async Task A_serverless_endpoint_that_starts_too_slowly_is_not_ready_and_then_warm()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(
            new() { Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-sl", Lane.Serverless, max: 1, simulation: new() { BaseSeconds = 1, Jitter = 0, StartSeconds = 90, KeepWarmSeconds = 3_600 }));

        var early = await aws.InvokeAsync("chat-sl", LocalAwsFixture.Body());
        Assert.Equal(429, (int)early.StatusCode);
        Assert.Equal("ModelNotReadyException", early.Headers.GetValues("x-amzn-ErrorType").Single());

        clock.Advance(90);
        await UntilAsync(async () => (await clock.RunAsync(aws.InvokeAsync("chat-sl", LocalAwsFixture.Body()))).IsSuccessStatusCode);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-sl"].ColdStarts);
    }

    [Fact]
    public async Task A_container_works_on_when_its_caller_goes_away()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(new() { Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-rt", Lane.Realtime, simulation: new() { BaseSeconds = 10, Jitter = 0 }));
        using var gone = new CancellationTokenSource();
        var call = aws.InvokeAsync("chat-rt", LocalAwsFixture.Body(), gone.Token);
        await UntilAsync(() => aws.Server.InvocationCounts.TryGetValue("chat-rt", out var counts) && counts.Serving == 1);

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        var next = aws.InvokeAsync("chat-rt", LocalAwsFixture.Body());
        await UntilAsync(() => aws.Server.InvocationCounts["chat-rt"].InFlight == 2);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-rt"].Serving);

        Assert.True((await clock.RunAsync(next)).IsSuccessStatusCode);
        Assert.Equal((1, 2L), (aws.Server.InvocationCounts["chat-rt"].MaxServing, aws.Server.InvocationCounts["chat-rt"].Completed));
    }

    private static Task<(int Status, JsonElement Answer)> ScaleAsync(LocalAwsFixture aws, string endpoint, int instances) => aws.ControlAsync(
        "UpdateEndpointWeightsAndCapacities",
        $$"""{"EndpointName":"{{endpoint}}","DesiredWeightsAndCapacities":[{"VariantName":"full","DesiredInstanceCount":{{instances.ToString(CultureInfo.InvariantCulture)}}}]}""");

    [Fact]
    public async Task Executions_that_are_kept_warm_serve_without_a_cold_start()
    {
        var clock = new ManualClock();
        await using var aws = await LocalAwsFixture.StartAsync(
            new() { Clock = clock.Router }, LocalAwsFixture.Endpoint("chat-sl", Lane.Serverless, max: 3, simulation: new() { BaseSeconds = 1, Jitter = 0, StartSeconds = 20, KeepWarmSeconds = 1 }));
        Assert.Equal(400, (await ProvisionAsync(4)).Status);
        Assert.Equal(400, (await ProvisionAsync(0)).Status);
        Assert.Equal(200, (await ProvisionAsync(2)).Status);
        Assert.Equal((null, 2), await ProvisionedAsync());
        clock.Advance(20);
        await UntilAsync(async () => await ProvisionedAsync() == (2, 2));

        clock.Advance(100);
        await clock.RunAsync(Task.WhenAll(aws.InvokeAsync("chat-sl", LocalAwsFixture.Body()), aws.InvokeAsync("chat-sl", LocalAwsFixture.Body())));
        Assert.Equal(0, aws.Server.InvocationCounts["chat-sl"].ColdStarts);
        var three = Task.WhenAll(Enumerable.Range(0, 3).Select(_ => aws.InvokeAsync("chat-sl", LocalAwsFixture.Body())));
        await UntilAsync(() => aws.Server.InvocationCounts["chat-sl"].InFlight == 3);
        await clock.RunAsync(three);
        Assert.Equal(1, aws.Server.InvocationCounts["chat-sl"].ColdStarts);

        async Task<(int Status, JsonElement Answer)> ProvisionAsync(int executions) => await aws.ControlAsync(
            "UpdateEndpointWeightsAndCapacities",
            $$$"""{"EndpointName":"chat-sl","DesiredWeightsAndCapacities":[{"VariantName":"full","ServerlessUpdateConfig":{"ProvisionedConcurrency":{{{executions.ToString(CultureInfo.InvariantCulture)}}}}}]}""");

        async Task<(int? Current, int? Desired)> ProvisionedAsync()
        {
            var variant = (await aws.ControlAsync("DescribeEndpoint", """{"EndpointName":"chat-sl"}""")).Answer.GetProperty("ProductionVariants")[0];
            return (Of(variant.GetProperty("CurrentServerlessConfig")), Of(variant.GetProperty("DesiredServerlessConfig")));
        }

        static int? Of(JsonElement config) => config.TryGetProperty("ProvisionedConcurrency", out var executions) ? executions.GetInt32() : null;
    }

    private static async Task<(string? Status, int Current, int Desired)> DescribeAsync(LocalAwsFixture aws, string endpoint)
    {
        var (_, answer) = await aws.ControlAsync("DescribeEndpoint", $$"""{"EndpointName":"{{endpoint}}"}""");
        var variant = answer.GetProperty("ProductionVariants")[0];
        return (answer.GetProperty("EndpointStatus").GetString(), variant.GetProperty("CurrentInstanceCount").GetInt32(), variant.GetProperty("DesiredInstanceCount").GetInt32());
    }

    private static Task UntilAsync(Func<bool> condition) => UntilAsync(() => Task.FromResult(condition()));

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!await condition())
        {
            await Task.Delay(5, timeout.Token);
        }
    }
}
