using System.Globalization;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Batch;
using OrleansInference.Hosting;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

public sealed class BatchJobTests
{
    [Fact]
    public async Task A_member_that_cannot_be_told_keeps_no_other_of_its_window_from_its_answer()
    {
        const int Members = 34;
        var model = JobsWorld.Catalog.Models[0];
        var variant = model.Variants[0];
        var batch = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { WindowMaxRequests = Members, WindowMaxSeconds = 6_000 };
        await using var world = await JobsWorld.StartAsync(catalog: JobsWorld.Catalog with { Models = [model with { Variants = [variant with { Endpoints = [batch] }] }] });
        world.AreTransformsDown = true;
        List<string> jobs = [];
        while (jobs.Count < Members)
        {
            jobs.Add(await world.AcceptAsync("""{"inputs":"hello","input_tokens":30,"output_tokens":5}""", "chat-batch", deadlineSeconds: 20_000));
        }

        var window = world.Grains.GetGrain<IBatchWindowGrain>(WindowKey.Of(new("chat-batch"), 1));
        await JobsWorld.UntilAsync(async () => await window.GetView() is { State: WindowState.Closed, Members: Members }, "the window is full");

        // A newer release has the first of them, and this one leaves it alone.
        var lost = world.Grains.GetGrain<IJobGrain>(new JobAddress(JobsWorld.Acme, jobs[0]).Key);
        var storage = world.Services.GetRequiredKeyedService<IGrainStorage>(OrleansInferenceOptions.StorageName);
        var stored = new GrainState<StoredJob>();
        await storage.ReadStateAsync("job", lost.GetGrainId(), stored);
        stored.State!.Form = 2;
        await storage.WriteStateAsync("job", lost.GetGrainId(), stored);

        // A job that rests is in no memory, and is not taken up to leave it.
        await Record.ExceptionAsync(() => lost.AsReference<Orleans.Core.Internal.IGrainManagementExtension>().DeactivateOnIdle().AsTask());
        world.AreTransformsDown = false;
        foreach (var id in jobs.Skip(1))
        {
            Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        }

        await Assert.ThrowsAnyAsync<Exception>(() => lost.Get());
    }

    [Fact]
    public async Task Requests_collect_into_a_window_and_each_gets_its_own_result_back()
    {
        await using var world = await JobsWorld.StartAsync();
        var ids = await Task.WhenAll(Enumerable.Range(0, 25).Select(i => world.AcceptAsync(Body(i), "chat-batch")));
        for (var i = 0; i < ids.Length; i++)
        {
            var view = await world.EndOfAsync(ids[i]);
            Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
            Assert.True(view.Route.Charge > Money.Zero && view.Route.Charge <= view.Route.ChargeCap);
            Assert.Equal(100 + i, await InputTokensAsync(world, ids[i]));
        }

        Assert.Equal(25, world.Aws.InvocationCounts["chat-batch"].Completed);

        // It may have two, but the deadlines are a day away.
        Assert.All(world.TransformInstances, static instances => Assert.Equal(1, instances));
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 25);
        await JobsWorld.UntilAsync(
            async () => await world.EndpointAsync("chat-batch") is { Predictions: 25 } endpoint && endpoint.Cost > Money.Zero && endpoint.Charged == (await world.BudgetAsync()).SettledTotal,
            "the windows are booked");
        await JobsWorld.UntilAsync(async () => (await world.ObjectsAsync("windows/")).Count == 0, "the windows have cleaned up");
    }

    [Fact]
    public async Task A_bad_record_costs_only_itself()
    {
        await using var world = await JobsWorld.StartAsync();
        var ids = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => world.AcceptAsync(i == 3 ? """{"question":3}""" : Body(i), "chat-batch")));
        for (var i = 0; i < ids.Length; i++)
        {
            var view = await world.EndOfAsync(ids[i]);
            if (i == 3)
            {
                Assert.Equal(JobState.Failed, view.State);
                Assert.Equal(ProblemCode.ModelError, view.Problem!.Code);
                Assert.Equal(Money.Zero, view.Route.Charge);
            }
            else
            {
                Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
                Assert.Equal(100 + i, await InputTokensAsync(world, ids[i]));
            }
        }

        await world.RequireLedgerAndAuditAgreeAsync(jobs: 10);
    }

    [Fact]
    public async Task The_shares_of_a_window_add_up_to_its_bill_with_failed_and_cancelled_members_and_only_answers_that_were_taken_count()
    {
        const int Members = 8;
        var model = JobsWorld.Catalog.Models[0];
        var variant = model.Variants[0];
        var batch = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { WindowMaxRequests = Members, WindowMaxSeconds = 6_000 };
        await using var world = await JobsWorld.StartAsync(catalog: JobsWorld.Catalog with { Models = [model with { Variants = [variant with { Endpoints = [batch] }] }] });
        world.AreTransformsDown = true;
        List<string> jobs = [];
        while (jobs.Count < Members)
        {
            jobs.Add(await world.AcceptAsync(jobs.Count == 3 ? """{"question":3}""" : Body(jobs.Count), "chat-batch", deadlineSeconds: 20_000));
        }

        var window = world.Grains.GetGrain<IBatchWindowGrain>(WindowKey.Of(new("chat-batch"), 1));
        await JobsWorld.UntilAsync(async () => await window.GetView() is { State: WindowState.Closed, Members: Members }, "the window is full");
        Assert.Equal(JobState.Cancelled, (await world.Jobs.CancelAsync(JobsWorld.Acme, jobs[5], CancellationToken.None))!.State);
        world.AreTransformsDown = false;
        foreach (var (id, i) in jobs.Select(static (id, i) => (id, i)))
        {
            Assert.Equal(i switch { 3 => JobState.Failed, 5 => JobState.Cancelled, _ => JobState.Succeeded }, (await world.EndOfAsync(id)).State);
        }

        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync("chat-batch"))!.Cost > Money.Zero, "the window is booked");
        var endpoint = (await world.EndpointAsync("chat-batch"))!;
        Assert.Equal(jobs.Select(static id => new JobAddress(JobsWorld.Acme, id).Key).Order(), world.Audit.Shares.Select(static share => share.Request).Order());
        Assert.All(world.Audit.Shares, static share => Assert.True(share.Cost > Money.Zero && share.Charge == Money.Zero));
        Assert.Equal(endpoint.Cost, world.Audit.Shares.Aggregate(Money.Zero, static (sum, share) => sum + share.Cost));
        Assert.Equal(Members - 2, endpoint.Predictions);
        Assert.Equal(await world.RequireLedgerAndAuditAgreeAsync(jobs: Members), endpoint.Charged);
    }

    [Fact]
    public async Task A_body_that_is_not_json_is_refused_alone_and_one_over_several_lines_is_taken()
    {
        await using var world = await JobsWorld.StartAsync();
        var refused = await world.SubmitAsync("hello", "chat-batch");
        Assert.Equal(ProblemCode.InvalidRequest, refused.Problem!.Code);
        Assert.Contains("JSON", refused.Problem.Message, StringComparison.Ordinal);
        var id = await world.AcceptAsync("{\n  \"inputs\": \"two\\nlines\",\r\n  \"input_tokens\": 7\n}\n", "chat-batch");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        Assert.Equal(7, await InputTokensAsync(world, id));
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_job_cancelled_in_an_open_window_is_not_sent()
    {
        await using var world = await JobsWorld.StartAsync();
        var gone = await world.AcceptAsync(Body(1), "chat-batch-patient");
        var window = world.Grains.GetGrain<IBatchWindowGrain>("chat-batch-patient/1");
        await JobsWorld.UntilAsync(async () => (await window.GetView()).Members == 1, "the job has joined");
        Assert.Equal(JobState.Cancelled, (await world.Jobs.CancelAsync(JobsWorld.Acme, gone, CancellationToken.None))!.State);
        Assert.Equal(0, (await window.GetView()).Members);
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_window_goes_on_after_its_silo_died_while_its_transform_job_ran()
    {
        await using var world = await JobsWorld.StartAsync();
        var window = world.Grains.GetGrain<IBatchWindowGrain>("chat-batch-slow/1");
        await world.OnSiloThatDiesAsync(window.GetView);
        var id = await world.AcceptAsync(Body(1), "chat-batch-slow");
        await JobsWorld.UntilAsync(async () => (await window.GetView()).State == WindowState.Running, "its transform job runs");
        await world.KillSiloOfAsync(window);
        var view = await world.EndOfAsync(id);
        Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.Equal(1, world.Aws.InvocationCounts["chat-batch-slow"].Completed);
    }

    [Fact]
    public async Task A_window_whose_transform_job_is_throttled_at_its_creation_gets_it_later()
    {
        await using var world = await JobsWorld.StartAsync();
        foreach (var _ in Enumerable.Range(0, 3))
        {
            world.TransformFaults.Enqueue(new SageMakerException("CreateTransformJob", "ThrottlingException", 400, "Rate exceeded"));
        }

        var view = await world.EndOfAsync(await world.AcceptAsync(Body(1), "chat-batch"));
        Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
        Assert.Empty(world.TransformFaults);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_window_whose_transform_job_never_ends_stops_it_when_its_last_job_has_expired()
    {
        var chat = JobsWorld.Catalog.Models[0];
        var slow = chat.Variants[0].Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch-slow");
        await using var world = await JobsWorld.StartAsync(catalog: JobsWorld.Catalog with
        {
            Models = [chat with { Variants = [chat.Variants[0] with { Endpoints = [slow with { Simulation = slow.Simulation! with { BaseSeconds = 604_800 } }] }] }],
        });
        var ids = new[] { await world.AcceptAsync(Body(1), "chat-batch-slow", deadlineSeconds: 600), await world.AcceptAsync(Body(2), "chat-batch-slow", deadlineSeconds: 900) };
        var window = world.Grains.GetGrain<IBatchWindowGrain>("chat-batch-slow/1");
        string? job = null;
        await JobsWorld.UntilAsync(async () => (job = (await window.GetView()).TransformJob) is not null, "its transform job runs");
        foreach (var id in ids)
        {
            var view = await world.EndOfAsync(id);
            Assert.Equal((JobState.Expired, ProblemCode.DeadlineExceeded, Money.Zero), (view.State, view.Problem!.Code, view.Route.Charge));
        }

        await JobsWorld.UntilAsync(async () => (await world.Services.GetRequiredService<ITransformJobs>().DescribeAsync(job!, CancellationToken.None))!.State == TransformJobState.Stopped, "it was stopped");
        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(jobs: 2));
    }

    [Fact]
    public async Task A_tight_deadline_closes_its_window_early_and_an_impossible_one_expires_without_a_charge()
    {
        // There is no faster lane that the impossible one could be moved to.
        var chat = JobsWorld.Catalog.Models[0];
        await using var world = await JobsWorld.StartAsync(catalog: JobsWorld.Catalog with
        {
            Models = [chat with { Variants = [.. chat.Variants.Select(static variant => variant with { Endpoints = [.. variant.Endpoints.Where(static endpoint => endpoint.Lane == Lane.Batch)] })] }],
        });
        var tight = await world.AcceptAsync(Body(1), "chat-batch-patient", deadlineSeconds: 1_500);
        var impossible = await world.AcceptAsync(Body(2), "chat-batch-slow", deadlineSeconds: 600);
        Assert.Equal(JobState.Expired, (await world.EndOfAsync(impossible)).State);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(tight)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 2);
    }

    [Fact]
    public async Task A_job_whose_window_comes_too_late_is_moved_to_a_faster_lane_if_the_budget_covers_that()
    {
        var chat = JobsWorld.Catalog.Models[0];
        var batch = chat.Variants[0].Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch");
        await using var world = await JobsWorld.StartAsync(catalog: JobsWorld.Catalog with
        {
            Models = [chat with { Variants = [chat.Variants[0] with { Endpoints = [.. chat.Variants[0].Endpoints, batch with { Name = new("late-batch"), Prior = batch.Prior with { ColdStartSeconds = 2_000 } }] }] }],
        });
        world.AreTransformsDown = true;
        var moved = await world.AcceptAsync(Body(1), "late-batch", deadlineSeconds: 2_300);
        var view = await world.EndOfAsync(moved);
        Assert.True(view.State == JobState.Succeeded, view.Problem?.Message);
        Assert.Equal(Lane.Async, view.Route.Lane);
        Assert.True(view.EndedAt <= view.Deadline);
        Assert.InRange(view.Route.Charge, Money.FromNanos(1), view.Route.ChargeCap);
        Assert.Equal(101, await InputTokensAsync(world, moved));
        await JobsWorld.UntilAsync(async () => (await world.BudgetAsync()).Reserved == Money.Zero, "both reservations have ended");
        Assert.Equal(view.Route.Charge, (await world.BudgetAsync()).SettledTotal);

        // All that is left is reserved for it already: it stays, and pays nothing.
        var left = Money.FromDollars(1) - view.Route.Charge - Money.FromNanos(1);
        var stays = (await world.SubmitAsync(Body(2), "late-batch", deadlineSeconds: 2_300, cap: left)).JobId!;
        var ended = await world.EndOfAsync(stays);
        Assert.Equal((JobState.Expired, Lane.Batch, Money.Zero), (ended.State, ended.Route.Lane, ended.Route.Charge));
        await JobsWorld.UntilAsync(async () => (await world.BudgetAsync()).Reserved == Money.Zero, "nothing is reserved");
        Assert.Equal(view.Route.Charge, (await world.BudgetAsync()).SettledTotal);
    }

    private static string Body(int i) => string.Create(CultureInfo.InvariantCulture, $$"""{"inputs":"hello {{i}}","input_tokens":{{100 + i}},"output_tokens":5}""");

    private static async Task<int> InputTokensAsync(JobsWorld world, string id)
    {
        var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, id, CancellationToken.None);
        using var answer = JsonDocument.Parse(result!.Body);
        return answer.RootElement.GetProperty("usage").GetProperty("input_tokens").GetInt32();
    }
}
