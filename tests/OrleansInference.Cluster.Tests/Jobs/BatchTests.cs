using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Tests.Jobs;

/// <summary>Batches on three silos and the embedded AWS.</summary>
public sealed class BatchTests
{
    [Fact]
    public async Task Bad_records_fail_alone_the_bill_is_exact_and_nothing_is_left_after_retention()
    {
        await using var world = await StartAsync(seconds: 1, retention: TimeSpan.FromSeconds(1_800));
        var id = await AcceptAsync(world, 150, bad: [1, 65, 66, 150]);
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Succeeded, 150, 146, 4), (view.State, view.Records, view.Done, view.Failed));
        Assert.InRange(view.TransformJobs, 2, 4);
        Assert.All(world.TransformTags, static tags => Assert.Equal(new Dictionary<string, string> { ["Application"] = "orleans-inference", ["InferenceType"] = "Batch" }, tags));
        Assert.Equal(view.TransformJobs, world.TransformTags.Count);

        var results = await ResultsAsync(world, id);
        Assert.Equal(Enumerable.Range(1, 150), results.Select(static line => line.GetProperty("record").GetInt32()));
        Assert.Equal([1, 65, 66, 150], results.Where(static line => line.TryGetProperty("error", out _)).Select(static line => line.GetProperty("record").GetInt32()));
        Assert.Equal(BillOf(results), view.Route.Charge);
        Assert.Equal(view.Route.Charge, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
        await JobsWorld.UntilAsync(async () => (await world.ObjectsAsync("")).Count == 0, "every object is deleted");
        await JobsWorld.UntilAsync(async () => await GetAsync(world, id) is null, "the batch is gone");
    }

    [Fact]
    public async Task A_batch_goes_on_after_every_silo_died_in_its_midst()
    {
        await using var world = await StartAsync(seconds: 20);
        var id = await AcceptAsync(world, 100, bad: [7]);
        await JobsWorld.UntilAsync(async () => (await GetAsync(world, id))!.State == JobState.Running, "it runs");
        await world.RestartClusterAsync();
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Succeeded, 99, 1), (view.State, view.Done, view.Failed));
        Assert.Equal(BillOf(await ResultsAsync(world, id)), await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_batch_goes_on_after_its_silo_died_in_its_midst()
    {
        await using var world = await StartAsync(seconds: 20);
        var id = await world.OnSiloThatDiesAsync(() => AcceptAsync(world, 20, bad: [7]));
        await JobsWorld.UntilAsync(async () => (await GetAsync(world, id))!.State == JobState.Running, "it runs");
        await world.KillSiloOfAsync(world.Grains.GetGrain<IBatchGrain>(new JobAddress(JobsWorld.Acme, id).Key));
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Succeeded, 19, 1), (view.State, view.Done, view.Failed));
        Assert.Equal(BillOf(await ResultsAsync(world, id)), await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_transform_job_whose_creation_is_throttled_is_created_later()
    {
        await using var world = await StartAsync(seconds: 1);
        Throttle(world);
        var view = await EndOfAsync(world, await AcceptAsync(world, 3));
        Assert.Equal((JobState.Succeeded, 3, 1), (view.State, view.Done, view.TransformJobs));
        Assert.Empty(world.TransformFaults);
        Assert.Equal(3, world.Aws.InvocationCounts["bulk"].Completed);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_transform_job_that_never_ends_is_stopped_at_the_deadline_and_costs_the_tenant_nothing()
    {
        await using var world = await StartAsync(seconds: 604_800, prior: 1, maxServiceSeconds: 3_600);
        var id = await AcceptAsync(world, 3, deadlineSeconds: 900);
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Expired, 0, 3, Money.Zero), (view.State, view.Done, view.Failed, view.Route.Charge));
        Assert.All(await ResultsAsync(world, id), static line => Assert.Contains("deadline", line.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal));
        Assert.Equal(0, world.Aws.InvocationCounts["bulk"].Completed);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_batchs_records_count_in_the_lanes_latencies_and_the_batch_as_one_request()
    {
        await using var world = await StartAsync(seconds: 4);
        var id = await AcceptAsync(world, 100, bad: [7]);
        var view = await EndOfAsync(world, id);
        Assert.Equal(99, view.Done);
        var model = world.Grains.GetGrain<IModelGrain>(JobsWorld.Chat.Value);
        var counts = (Service: 0L, Waits: 0L);
        await JobsWorld.UntilAsync(async () => (counts = (await CountAsync(LatencyPhase.Service), await CountAsync(LatencyPhase.QueueWait))) is { Service: > 0, Waits: > 0 }, "the records are counted");

        // Each of them once: what was told earlier may have begun to fade.
        Assert.InRange(counts.Service, 1, 99);
        Assert.InRange(counts.Waits, 1, 99);
        var statistics = await model.GetStatistics();
        Assert.All(statistics!.Latency.Where(static latency => latency.Phase == LatencyPhase.Service), static latency => Assert.InRange(latency.P50Seconds, 3.9, 4.1));
        Assert.All(statistics.Latency.Where(static latency => latency.Phase == LatencyPhase.QueueWait), static latency => Assert.True(latency.P50Seconds >= 9, $"{latency.P50Seconds}"));

        var all = world.Cluster.Silos.Select(static silo => ((Orleans.TestingHost.InProcessSiloHandle)silo).SiloHost.Services.GetRequiredService<Dispatch.IDispatcher>().GetStatistics()).ToList();
        Assert.Equal((1, 1), (all.Sum(static silo => silo.Lanes[Lane.Batch].Requests), all.Sum(static silo => silo.Lanes[Lane.Batch].Answered)));
        Assert.Equal(view.Route.Charge, all.Aggregate(Money.Zero, static (sum, silo) => sum + silo.Lanes[Lane.Batch].Charged));

        async Task<long> CountAsync(LatencyPhase phase) => (await model.GetStatistics())!.Latency.Where(latency => latency.Phase == phase).Sum(static latency => latency.Count);
    }

    [Fact]
    public async Task A_batch_that_fits_later_is_told_when_the_money_frees()
    {
        await using var world = await StartAsync(seconds: 1);
        var tenant = world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        Assert.True((await tenant.Reserve("other", Money.FromDollars(1), world.Clock.Now + 6_000_000)).Granted);
        var outcome = await SubmitAsync(world, Lines(3));
        Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem!.Code);
        Assert.InRange(outcome.Problem.RetryAfter!.Value.TotalSeconds, 1, 6_000);
        Assert.Contains("comes back by 20", outcome.Problem.Message, StringComparison.Ordinal);
        Assert.Empty(await world.ObjectsAsync(""));
        await tenant.Settle("other", Money.Zero);
        Assert.NotNull((await SubmitAsync(world, Lines(3))).JobId);
    }

    [Fact]
    public async Task A_record_that_failed_alone_says_so_and_names_its_transform_job_and_what_SageMaker_said()
    {
        await using var world = await StartAsync(seconds: 1);
        var id = await AcceptAsync(world, 3, bad: [2]);
        await EndOfAsync(world, id);
        var message = (await ResultsAsync(world, id))[1].GetProperty("error").GetProperty("message").GetString();
        Assert.StartsWith("The model did not answer this record: ClientError: See job logs for more information (transform job 'oi-bulk-", message, StringComparison.Ordinal);
        Assert.Contains("/aws/sagemaker/TransformJobs", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_batch_stops_its_transform_job_and_is_charged_for_what_has_run()
    {
        // 64 records an object, four at a time: the second object ends long after the first.
        await using var world = await StartAsync(seconds: 10);
        var id = await AcceptAsync(world, 1_000);
        await JobsWorld.UntilAsync(async () => (await GetAsync(world, id))!.Done > 0, "the first records are answered");
        Assert.NotEmpty(await ResultsAsync(world, id));
        Assert.Null((await GetAsync(world, id))!.EndedAt);
        await Batches(world).CancelAsync(JobsWorld.Acme, id, CancellationToken.None);
        var view = await EndOfAsync(world, id);
        Assert.Equal(JobState.Cancelled, view.State);
        Assert.InRange(view.Done, 1, 999);
        Assert.Equal(1_000, view.Done + view.Failed);
        var results = await ResultsAsync(world, id);
        Assert.Equal(view.Done, results.Count(static line => line.TryGetProperty("output", out _)));
        Assert.Equal(BillOf(results), view.Route.Charge);
        Assert.Equal(view.Route.Charge, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
        Assert.True(world.Aws.InvocationCounts["bulk"].Completed < 1_000);
    }

    [Fact]
    public async Task Progress_is_not_behind_the_results_that_can_be_read()
    {
        // An object of 64 records is answered after a quarter of an hour, and the transform job is looked at once a minute by then.
        await using var world = await StartAsync(seconds: 60);
        var id = await AcceptAsync(world, 1_000);
        var results = 0;
        await JobsWorld.UntilAsync(async () => (results = (await ResultsAsync(world, id)).Count) > 0, "the first records are answered");
        Assert.InRange((await GetAsync(world, id))!.Done, results, 1_000);
        await Batches(world).CancelAsync(JobsWorld.Acme, id, CancellationToken.None);
        Assert.Equal(JobState.Cancelled, (await EndOfAsync(world, id)).State);
    }

    [Fact]
    public async Task At_its_deadline_a_batch_keeps_and_pays_what_it_has()
    {
        await using var world = await StartAsync(seconds: 60, prior: 1);
        var id = await AcceptAsync(world, 1_000, deadlineSeconds: 1_200);
        var view = await EndOfAsync(world, id);
        Assert.Equal(JobState.Expired, view.State);
        Assert.Equal(ProblemCode.DeadlineExceeded, view.Problem!.Code);
        Assert.Equal(BillOf(await ResultsAsync(world, id)), await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_batch_that_the_budget_does_not_cover_leaves_nothing_behind()
    {
        // A record may run for an hour and so cost so much that a thousand are more than the budget: a machine reads them in no time.
        await using var world = await StartAsync(seconds: 1, maxServiceSeconds: 3_600);
        var outcome = await SubmitAsync(world, Lines(1_000));
        Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem!.Code);
        Assert.Equal(Money.Zero, (await world.BudgetAsync()).Reserved);
        Assert.Empty(await world.ObjectsAsync(""));
        Assert.Empty(world.Audit.Records);
    }

    [Fact]
    public async Task A_repeated_key_gives_one_batch_and_leaves_no_second_upload()
    {
        await using var world = await StartAsync(seconds: 1);
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => SubmitAsync(world, Lines(70), key: "same")));
        var id = Assert.Single(outcomes.Select(static outcome => outcome.JobId).Distinct())!;
        var view = await EndOfAsync(world, id);
        Assert.Equal(70, view.Done);
        Assert.Equal(ProblemCode.IdempotencyConflict, (await SubmitAsync(world, Lines(71), key: "same")).Problem!.Code);
        Assert.Equal(2, (await world.ObjectsAsync($"batches/{JobsWorld.Acme}/{id}/")).Count(static key => key.Contains("/0/in/", StringComparison.Ordinal)));
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task An_upload_that_became_no_batch_is_deleted()
    {
        await using var world = await StartAsync(seconds: 1);
        var address = new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, "abandoned"));
        var grain = world.Grains.GetGrain<IBatchGrain>(address.Key);
        await grain.Expect("abc");
        var objects = world.Services.GetRequiredService<IObjectStore>();
        var bucket = new Hosting.OrleansInferenceOptions().PayloadBucket;
        await objects.EnsureBucketAsync(bucket, CancellationToken.None);
        await world.Services.GetRequiredService<BatchFiles>().PutAsync(address, "abc", 0, "{}\n"u8.ToArray(), CancellationToken.None);
        Assert.Single(await world.ObjectsAsync("batches/"));
        await grain.AsReference<IRemindable>().ReceiveReminder("upload/abc", default);
        Assert.Empty(await world.ObjectsAsync("batches/"));
    }

    private static Task<JobsWorld> StartAsync(double seconds, double? prior = null, TimeSpan? retention = null, double maxServiceSeconds = 120) => JobsWorld.StartAsync(retention: retention, catalog: JobsWorld.Catalog with
    {
        Models =
        [
            new()
            {
                Name = JobsWorld.Chat,
                MaxOutputTokens = 10,
                Variants =
                [
                    new()
                    {
                        Name = new("full"),
                        Endpoints =
                        [
                            new()
                            {
                                Name = new("bulk"),
                                Lane = Lane.Batch,
                                InstanceType = "ml.g5.xlarge",
                                ConcurrencyPerInstance = 4,
                                MaxInstances = 1,
                                MaxServiceSeconds = maxServiceSeconds,
                                Tariff = Tariff,
                                Prior = new() { ServiceP50Seconds = prior ?? seconds, ServiceP99Seconds = 2 * (prior ?? seconds), ColdStartSeconds = 10 },
                                Simulation = new() { BaseSeconds = seconds, Jitter = 0, DecodeTokensPerSecond = 0, StartSeconds = 10 },
                            },
                        ],
                    },
                ],
            },
        ],
    });

    private static Tariff Tariff { get; } = new() { PerSlotSecond = Money.FromNanos(1_003), PerRequest = Money.FromNanos(107), PerThousandInputTokens = Money.FromNanos(333), PerThousandOutputTokens = Money.FromNanos(77) };

    /// <summary>What the answered records cost by the tariff, from what their answers tell.</summary>
    private static Money BillOf(IReadOnlyList<JsonElement> results)
    {
        var sum = Money.Zero;
        foreach (var line in results)
        {
            if (line.TryGetProperty("output", out var output))
            {
                var usage = output.GetProperty("usage");
                sum += Pricing.TariffCalculator.Charge(Tariff, new()
                {
                    SlotMilliseconds = (long)Math.Ceiling(usage.GetProperty("service_ms").GetDouble()),
                    Requests = 1,
                    InputTokens = usage.GetProperty("input_tokens").GetInt64(),
                    OutputTokens = usage.GetProperty("output_tokens").GetInt64(),
                });
            }
        }

        return sum;
    }

    private static void Throttle(JobsWorld world)
    {
        foreach (var _ in Enumerable.Range(0, 3))
        {
            world.TransformFaults.Enqueue(new SageMakerException("CreateTransformJob", "ThrottlingException", 400, "Rate exceeded"));
        }
    }

    private static IBatches Batches(JobsWorld world) => world.Services.GetRequiredService<IBatches>();

    private static Task<BatchView?> GetAsync(JobsWorld world, string id) => Batches(world).GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None);

    private static async Task<BatchView> EndOfAsync(JobsWorld world, string id)
    {
        BatchView? view = null;
        await JobsWorld.UntilAsync(async () => (view = await Batches(world).GetAsync(JobsWorld.Acme, id, TimeSpan.FromSeconds(60), CancellationToken.None)) is { EndedAt: not null }, "the batch has ended");
        return view!;
    }

    private static async Task<string> AcceptAsync(JobsWorld world, int records, IReadOnlyCollection<int>? bad = null, double? deadlineSeconds = null)
    {
        var outcome = await SubmitAsync(world, Lines(records, bad), deadlineSeconds: deadlineSeconds);
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        return outcome.JobId;
    }

    private static async Task<InferenceOutcome> SubmitAsync(JobsWorld world, string lines, string? key = null, double? deadlineSeconds = null)
    {
        InferenceOutcome outcome = null!;
        await JobsWorld.UntilAsync(
            async () =>
            {
                using var stream = new MemoryStream(Encoding.UTF8.GetBytes(lines));
                outcome = await Batches(world).SubmitAsync(
                    new() { Tenant = JobsWorld.Acme, Model = JobsWorld.Chat, IdempotencyKey = key, Deadline = deadlineSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null },
                    stream,
                    TestContext.Current.CancellationToken);
                return outcome.Problem?.Code is not (ProblemCode.UnknownModel or ProblemCode.Unavailable);
            },
            "the silos know the model");
        return outcome;
    }

    private static string Lines(int records, IReadOnlyCollection<int>? bad = null) => string.Join('\n', Enumerable.Range(1, records).Select(i => bad?.Contains(i) is true
        ? """{"question":1}"""
        : string.Create(CultureInfo.InvariantCulture, $$"""{"inputs":"r","input_tokens":{{100 + i}},"output_tokens":5}""")));

    private static async Task<IReadOnlyList<JsonElement>> ResultsAsync(JobsWorld world, string id)
    {
        var text = new StringBuilder();
        for (long? from = 1; from is { } next;)
        {
            var page = await Batches(world).ReadAsync(JobsWorld.Acme, id, next, CancellationToken.None);
            text.Append(Encoding.UTF8.GetString(page!.Lines.Span));
            from = page.Next;
        }

        return [.. text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement)];
    }
}
