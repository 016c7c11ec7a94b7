using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Amazon.S3;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Batch;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>What S3 may answer to each operation of the lanes: a job or a batch ends once in any case, with its answer if S3 comes back in time, and leaves nothing behind.</summary>
public sealed class StoreFaultTests
{
    private const string Good = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";
    private const string Bad = """{"question":1}""";

    [Theory]
    [InlineData("AccessDenied")]
    [InlineData("SlowDown")]
    [InlineData("RequestTimeout")]
    [InlineData("NoAnswer")]
    public async Task A_job_or_batch_gets_its_answer_although_every_operation_fails_twice_at_first(string error)
    {
        await using var world = await JobsWorld.StartAsync(retention: TimeSpan.FromSeconds(600), poll: TimeSpan.FromSeconds(1), catalog: Catalog);
        var failed = new ConcurrentDictionary<(string, string), int>();
        world.StoreFault = (operation, key) => failed.AddOrUpdate((operation, key), 1, static (_, count) => count + 1) <= 2 ? Of(error) : null;
        var jobs = new List<string>();
        foreach (var endpoint in (string[])["chat-async", "chat-batch"])
        {
            // Another try of one submission stores another object, so that each fails; what is told of that is when to come back.
            var refused = await world.SubmitAsync(Good, endpoint, key: endpoint);
            Assert.Equal(ProblemCode.UpstreamUnavailable, refused.Problem?.Code);
            Assert.NotNull(refused.Problem!.RetryAfter);
        }

        // What is below no prefix is asked for by the test alone.
        world.StoreFault = (operation, key) => key.Length > 0 && !IsUpload(key) && failed.AddOrUpdate((operation, key), 1, static (_, count) => count + 1) <= 2 ? Of(error) : null;
        foreach (var endpoint in (string[])["chat-async", "chat-batch"])
        {
            jobs.Add(await world.AcceptAsync(Good, endpoint, key: endpoint));
        }

        var batch = await BatchAsync(world, $"{Good}\n{Bad}\n{Good}");
        foreach (var id in jobs)
        {
            var view = await world.EndOfAsync(id);
            Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
            Assert.True(view.Route.Charge > Money.Zero);
        }

        var ended = await EndOfAsync(world, batch);
        Assert.Equal((JobState.Succeeded, 2, 1), (ended.State, ended.Done, ended.Failed));
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 3);
        await JobsWorld.UntilAsync(async () => (await world.ObjectsAsync("")).Count == 0, "no object is left");
        Assert.NotEmpty(failed);
    }

    [Theory]
    [InlineData("AccessDenied")]
    [InlineData("SlowDown")]
    public async Task Records_that_cannot_be_stored_make_no_batch_and_cost_nothing(string error)
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        await BatchAsync(world, Good);
        var before = await world.ObjectsAsync("batches/");
        world.StoreFault = (operation, _) => operation == "Put" ? Of(error) : null;
        var outcome = await SubmitAsync(world, $"{Good}\n{Good}");
        Assert.Null(outcome.JobId);
        Assert.NotNull(outcome.Problem!.RetryAfter);
        Assert.Contains("nothing was charged", outcome.Problem.Message, StringComparison.Ordinal);
        Assert.Equal(before.Where(static key => key.Contains("/in/", StringComparison.Ordinal)), (await world.ObjectsAsync("batches/")).Where(static key => key.Contains("/in/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_result_that_somebody_deleted_is_told_to_be_gone()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        var id = await world.AcceptAsync(Good, "chat-async");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        world.StoreFault = static (_, _) => new NoSuchKeyException();
        var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, id, CancellationToken.None);
        Assert.NotNull(result!.Problem);
        Assert.NotEmpty(result.Problem.Message);
    }

    [Fact]
    public async Task A_job_of_the_batch_lane_whose_input_somebody_deleted_fails_alone()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        var gone = new ConcurrentDictionary<string, bool>();
        world.StoreFault = (operation, key) => operation == "Get" && gone.Keys.Any(id => key.Contains($"/{id}/input", StringComparison.Ordinal)) ? new NoSuchKeyException() : null;
        gone[JobAddress.IdOf(JobsWorld.Acme, "gone")] = true;
        var lost = await world.AcceptAsync(Good, "chat-batch", key: "gone");
        var kept = await world.AcceptAsync(Good, "chat-batch", key: "kept");
        var view = await world.EndOfAsync(lost);
        Assert.Equal((JobState.Failed, Money.Zero), (view.State, view.Route.Charge));
        Assert.NotEmpty(view.Problem!.Message);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(kept)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 2);
    }

    [Fact]
    public async Task A_batch_whose_records_somebody_deleted_keeps_the_answers_that_it_has_and_ends()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        world.StoreFault = static (operation, key) => operation == "Get" && key.Contains("/0/in/", StringComparison.Ordinal) ? new NoSuchKeyException() : null;
        var view = await EndOfAsync(world, await BatchAsync(world, $"{Good}\n{Good}"));
        Assert.Equal((JobState.Succeeded, 2), (view.State, view.Done));
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 1) > Money.Zero);
    }

    [Fact]
    public async Task A_batch_whose_answers_S3_denies_for_good_ends_at_its_deadline_with_the_reason_and_for_nothing()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        var looks = new ConcurrentQueue<(string Key, long At)>();
        world.StoreFault = (operation, key) =>
        {
            var denied = DenyOutputs(operation, key);
            if (denied is not null && operation == "Get")
            {
                looks.Enqueue((key, world.Clock.Now));
            }

            return denied;
        };
        var id = await BatchAsync(world, $"{Good}\n{Good}", deadlineSeconds: 1_800);
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Expired, 0, 2, Money.Zero), (view.State, view.Done, view.Failed, view.Route.Charge));
        Assert.Equal(1, view.TransformJobs);
        Assert.Equal(ProblemCode.DeadlineExceeded, view.Problem!.Code);
        Assert.Contains("AccessDenied", view.Problem.Message, StringComparison.Ordinal);

        // It was not tried again and again: one look may be under way at the deadline, and one is the last.
        Assert.NotEmpty(looks);
        Assert.All(looks.Where(look => look.At > view.Deadline.ToUnixTimeMilliseconds()).CountBy(static look => look.Key), static late => Assert.InRange(late.Value, 1, 2));
        var page = await world.Services.GetRequiredService<IBatches>().ReadAsync(JobsWorld.Acme, id, 1, CancellationToken.None);
        Assert.Contains("AccessDenied", Encoding.UTF8.GetString(page!.Lines.Span), StringComparison.Ordinal);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));

        // AWS bills it all the same.
        Assert.True((await world.EndpointAsync("bulk-batch"))!.Cost > Money.Zero);
    }

    [Fact]
    public async Task A_cancelled_batch_whose_answers_S3_denies_for_good_ends_long_before_its_deadline()
    {
        await using var world = await JobsWorld.StartAsync(catalog: Catalog);
        world.StoreFault = DenyOutputs;
        var id = await BatchAsync(world, Good, deadlineSeconds: 86_400);
        await JobsWorld.UntilAsync(async () => (await GetAsync(world, id))!.TransformJobs == 1, "it runs");
        await world.Services.GetRequiredService<IBatches>().CancelAsync(JobsWorld.Acme, id, CancellationToken.None);
        var view = await EndOfAsync(world, id);
        Assert.Equal((JobState.Cancelled, Money.Zero), (view.State, view.Route.Charge));
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_window_whose_answers_S3_denies_for_good_ends_once_the_deadlines_of_its_members_have_passed()
    {
        // Without a faster lane they stay where they are.
        var model = Catalog.Models[0];
        var variant = model.Variants[0];
        await using var world = await JobsWorld.StartAsync(catalog: Catalog with
        {
            Models = [model with { Variants = [variant with { Endpoints = [variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch")] }] }],
        });
        world.StoreFault = DenyOutputs;
        string[] jobs = [await world.AcceptAsync(Good, "chat-batch", deadlineSeconds: 1_800), await world.AcceptAsync(Good, "chat-batch", deadlineSeconds: 1_900)];
        foreach (var id in jobs)
        {
            var view = await world.EndOfAsync(id);
            Assert.Equal((JobState.Expired, Money.Zero, ProblemCode.DeadlineExceeded), (view.State, view.Route.Charge, view.Problem?.Code));
        }

        var window = world.Grains.GetGrain<IBatchWindowGrain>(WindowKey.Of(new("chat-batch"), 1));
        await JobsWorld.UntilAsync(async () => (await window.GetView()).State == WindowState.Ended, "the window has ended");
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 2));
        Assert.True((await world.EndpointAsync("chat-batch"))!.Cost > Money.Zero);
    }

    private static Exception? DenyOutputs(string operation, string key) => operation is "Get" or "List" && key.Contains("/out/", StringComparison.Ordinal) ? Of("AccessDenied") : null;

    private static Task<BatchView?> GetAsync(JobsWorld world, string id) => world.Services.GetRequiredService<IBatches>().GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None);

    private static CatalogDefinition Catalog { get; } = JobsWorld.Catalog with
    {
        Models =
        [
            JobsWorld.Catalog.Models[0],
            new()
            {
                Name = new("bulk"),
                MaxOutputTokens = 10,
                Variants = [new() { Name = new("full"), Endpoints = [JobsWorld.Catalog.Models[0].Variants[0].Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { Name = new("bulk-batch"), MaxInstances = 1 }] }],
            },
        ],
    };

    // What is stored before anything is promised.
    private static bool IsUpload(string key) => key.Contains("/input", StringComparison.Ordinal) || key.Contains("/0/in/", StringComparison.Ordinal);

    private static Exception Of(string error) => error switch
    {
        "NoAnswer" => new TimeoutException("S3 did not answer."),
        _ => new AmazonS3Exception(error)
        {
            ErrorCode = error,
            StatusCode = error switch { "AccessDenied" => HttpStatusCode.Forbidden, "SlowDown" => HttpStatusCode.ServiceUnavailable, _ => HttpStatusCode.BadRequest },
        },
    };

    private static async Task<InferenceOutcome> SubmitAsync(JobsWorld world, string lines, double? deadlineSeconds = null)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(lines));
        return await world.Services.GetRequiredService<IBatches>().SubmitAsync(new() { Tenant = JobsWorld.Acme, Model = new("bulk"), Deadline = deadlineSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null }, stream, TestContext.Current.CancellationToken);
    }

    private static async Task<string> BatchAsync(JobsWorld world, string lines, double? deadlineSeconds = null)
    {
        InferenceOutcome outcome = null!;
        await JobsWorld.UntilAsync(async () => (outcome = await SubmitAsync(world, lines, deadlineSeconds)).Problem?.Code is not (ProblemCode.UnknownModel or ProblemCode.Unavailable), "the silos know the model");
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        return outcome.JobId;
    }

    private static async Task<BatchView> EndOfAsync(JobsWorld world, string id)
    {
        BatchView? view = null;
        await JobsWorld.UntilAsync(
            async () => (view = await world.Services.GetRequiredService<IBatches>().GetAsync(JobsWorld.Acme, id, TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken)) is { EndedAt: not null },
            "the batch has ended");
        return view!;
    }
}
