using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Dispatch;
using OrleansInference.Invocation;

namespace OrleansInference.Tests.Jobs;

/// <summary>Jobs that wait for slots of a real-time endpoint which are free anyway.</summary>
public sealed class DeferredJobTests
{
    private const string Valley = "chat-realtime";
    private const int Slots = 4;

    // A call may take a minute of the router's clock. Where calls are held up for the test's sake, or a busy machine holds them up, that is to be many seconds of the wall.
    private const double Slow = 4;
    private const double Medium = 10;
    private const double Fast = 20;
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    [Fact]
    public async Task A_deferred_job_is_answered_on_a_free_slot_and_charged_by_the_tariff_there()
    {
        await using var world = await StartAsync(Medium);
        var id = await world.AcceptAsync(Body, Valley);
        var end = await world.EndOfAsync(id);
        Assert.True(end.State == JobState.Succeeded, end.Problem?.Message);
        Assert.Equal((Lane.Realtime, new EndpointName(Valley)), (end.Route.Lane, end.Route.Endpoint));
        var result = await world.Jobs.GetResultAsync(JobsWorld.Acme, id, TestContext.Current.CancellationToken);
        Assert.Contains("output", Encoding.UTF8.GetString(result!.Body.Span), StringComparison.Ordinal);
        Assert.Equal(end.OutputLocation, end.ExpectedOutputLocation);
        Assert.Equal(end.Route.Charge, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
        var record = Assert.Single(world.Audit.Records);
        Assert.Equal((Lane.Realtime, AuditKind.Settle, end.Route.Charge), (record.Lane, record.Kind, record.Charge));
        Assert.InRange(record.ServiceMs, 2_000, 60_000);
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync(Valley))!.Predictions == 1, "the endpoint has its prediction");
        Assert.Equal(end.Route.Charge, (await world.EndpointAsync(Valley))!.Charged);
    }

    [Fact]
    public async Task Many_jobs_take_no_more_slots_than_there_are_and_end_once_each()
    {
        const int Jobs = 40;
        await using var world = await StartAsync(Medium);
        await Parallel.ForEachAsync(Enumerable.Range(0, Jobs), async (_, _) => await world.AcceptAsync(Body, Valley));
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count == Jobs), "all jobs have ended");
        Assert.InRange(world.MostCallsAtOnce, 2, Slots);
        Assert.Equal(Jobs, world.Calls);
        await world.RequireLedgerAndAuditAgreeAsync(Jobs);
        Assert.All(world.Audit.Records, static record => Assert.Equal(AuditKind.Settle, record.Kind));
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync(Valley))!.Slots is { InUse: 0, Deferred: 0 }, "every slot is free");
    }

    [Fact]
    public async Task While_others_have_the_slots_jobs_wait_out_of_memory_and_begin_when_those_are_free()
    {
        await using var world = await StartAsync(Slow);
        var gate = new TaskCompletionSource();
        world.BeforeCall = _ => gate.Task;
        var others = Enumerable.Range(0, Slots).Select(_ => InvokeAsync(world, TrafficClass.High)).ToArray();
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync(Valley))!.Slots!.InUse == Slots, "others have all slots");
        for (var i = 0; i < 5; i++)
        {
            await world.AcceptAsync(Body, Valley, deadlineSeconds: 40_000);
        }

        await JobsWorld.UntilAsync(async () => await LiveAsync(world) == 0, "the jobs have left memory");
        Assert.Equal((5, Slots), ((await world.EndpointAsync(Valley))!.Slots!.Deferred, world.Calls));
        gate.SetResult();
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Calls == Slots + 5), "the jobs have begun");
        await Task.WhenAll(others);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count(static record => record.Kind == AuditKind.Settle) == Slots + 5), "all have ended");
        await world.RequireLedgerAndAuditAgreeAsync(Slots + 5);
    }

    [Fact]
    public async Task A_request_that_finds_no_slot_and_can_wait_is_put_off_and_one_sent_as_a_job_too()
    {
        await using var world = await StartAsync(Slow);
        var gate = new TaskCompletionSource();
        world.BeforeCall = _ => gate.Task;
        var others = Enumerable.Range(0, Slots).Select(_ => InvokeAsync(world, TrafficClass.High)).ToArray();
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync(Valley))!.Slots!.InUse == Slots, "others have all slots");
        var dispatcher = world.Services.GetRequiredService<IDispatcher>();
        InferenceOutcome put = default!;
        await JobsWorld.UntilAsync(
            async () => (put = await dispatcher.InvokeAsync(RequestOf(TrafficClass.Low) with { Delivery = Delivery.Either }, TestContext.Current.CancellationToken)).Route?.Lane == Lane.Realtime,
            "a request is put off");
        Assert.NotNull(put.JobId);
        var sent = await dispatcher.SubmitAsync(RequestOf(TrafficClass.Low), TestContext.Current.CancellationToken);
        Assert.True(sent is { JobId: not null, Route.Lane: Lane.Realtime }, sent.Problem?.Message);

        // Too near for a start of an instance and more.
        var near = await dispatcher.SubmitAsync(RequestOf(TrafficClass.Low) with { Deadline = TimeSpan.FromSeconds(35) }, TestContext.Current.CancellationToken);
        Assert.NotEqual(Lane.Realtime, near.Route?.Lane);
        gate.SetResult();
        await Task.WhenAll(others);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(put.JobId)).State);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(sent.JobId!)).State);
    }

    [Fact]
    public async Task Where_the_catalog_does_not_say_so_nothing_is_put_off()
    {
        await using var world = await StartAsync(Medium, servesDeferred: false);
        var dispatcher = world.Services.GetRequiredService<IDispatcher>();
        var sent = await dispatcher.SubmitAsync(RequestOf(TrafficClass.Low), TestContext.Current.CancellationToken);
        Assert.True(sent is { JobId: not null, Route.Lane: Lane.Async }, sent.Problem?.Message);
        var only = await dispatcher.SubmitAsync(RequestOf(TrafficClass.Low) with { LaneMask = 1 << (int)Lane.Realtime }, TestContext.Current.CancellationToken);
        Assert.Equal(ProblemCode.NoCandidate, only.Problem?.Code);
        Assert.False(await world.Grains.GetGrain<IEndpointGrain>(Valley).Defer(new("acme/abcdefghijklmnopqrstuvwxyz", world.Clock.Now + 1_000_000, 1_000)));
    }

    [Fact]
    public async Task A_job_whose_turn_does_not_come_goes_into_line_in_time()
    {
        // Expecting a long start, it goes into line many seconds of the wall before its deadline.
        await using var world = await StartAsync(Fast, coldStartSeconds: 600);
        world.CallFault = static method => method == nameof(IJobGrain.Begin) ? new IOException("the word is lost") : null;
        var id = await world.AcceptAsync(Body, Valley, deadlineSeconds: 1_600);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count > 0), "the job has ended");
        var end = await world.EndOfAsync(id);
        Assert.True(end.State == JobState.Succeeded, end.Problem?.Message);
        Assert.True(end.EndedAt <= end.Deadline);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_job_is_cancelled_while_it_waits_and_while_it_is_served()
    {
        await using var world = await StartAsync(Slow);
        var gate = new TaskCompletionSource();
        world.BeforeCall = _ => gate.Task;
        var ids = new List<string>();
        for (var i = 0; i < Slots + 1; i++)
        {
            ids.Add(await world.AcceptAsync(Body, Valley));
        }

        await JobsWorld.UntilAsync(async () => world.Calls == Slots && (await world.EndpointAsync(Valley))!.Slots!.Deferred == 1, "the slots are taken, and one waits");
        foreach (var id in ids)
        {
            await world.Jobs.CancelAsync(JobsWorld.Acme, id, TestContext.Current.CancellationToken);
            Assert.Equal(JobState.Cancelled, (await world.EndOfAsync(id)).State);
        }

        Assert.Equal(Money.Zero, await world.RequireLedgerAndAuditAgreeAsync(Slots + 1));
        Assert.Equal(0, (await world.EndpointAsync(Valley))!.Slots!.Deferred);
        gate.SetResult();
        await JobsWorld.UntilAsync(async () => (await world.EndpointAsync(Valley))!.Slots is { InUse: 0, Deferred: 0 }, "every slot is free, and nobody waits");
        Assert.Equal(Slots, world.Calls);
    }

    [Fact]
    public async Task What_passes_is_tried_again_and_what_the_model_refuses_fails_for_its_use()
    {
        await using var world = await StartAsync(Medium);
        var faults = 3;
        world.BeforeCall = _ => Interlocked.Decrement(ref faults) >= 0 ? Task.FromException(new ModelCallException(ModelCallFailure.Throttled, "not now") { NotSent = true }) : Task.CompletedTask;
        var id = await world.AcceptAsync(Body, Valley);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        world.BeforeCall = static _ => Task.FromException(new ModelCallException(ModelCallFailure.Model, "no") { OriginalStatusCode = 500 });
        var failed = await world.EndOfAsync(await world.AcceptAsync(Body, Valley));
        Assert.Equal((JobState.Failed, ProblemCode.ModelError), (failed.State, failed.Problem!.Code));
        Assert.True(failed.Route.Charge > Money.Zero);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 2);
    }

    [Fact]
    public async Task An_answer_that_cannot_be_stored_is_kept_and_not_asked_for_again()
    {
        await using var world = await StartAsync(Medium);
        var faults = 5;
        world.StoreFault = (operation, key) => operation == "Put" && key.EndsWith("/output", StringComparison.Ordinal) && Interlocked.Decrement(ref faults) >= 0 ? new IOException("no room") : null;
        var end = await world.EndOfAsync(await world.AcceptAsync(Body, Valley));
        Assert.True(end.State == JobState.Succeeded, end.Problem?.Message);
        Assert.Equal(1, world.Calls);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task Where_a_silo_of_the_release_before_would_have_the_job_another_lane_takes_it()
    {
        await using var world = await StartAsync(Medium);
        world.CallFault = static method => method == nameof(IJobGrain.AcceptDeferred) ? new NotSupportedException("no such method") : null;
        var sent = await world.Services.GetRequiredService<IDispatcher>().SubmitAsync(RequestOf(TrafficClass.Low), TestContext.Current.CancellationToken);
        Assert.True(sent is { JobId: not null, Route.Lane: Lane.Async }, sent.Problem?.Message);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(sent.JobId)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task When_an_endpoint_serves_deferred_work_no_longer_those_that_wait_go_into_line()
    {
        // They do so at moments of their own, which they remember while they are out of memory.
        const int Jobs = 6;
        await using var world = await StartAsync(Fast);
        world.CallFault = static method => method == nameof(IJobGrain.Begin) ? new IOException("the word is lost") : null;
        var ids = new List<string>();
        for (var i = 0; i < Jobs; i++)
        {
            ids.Add(await world.AcceptAsync(Body, Valley, deadlineSeconds: 1_800));
        }

        var reply = await world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(CatalogWith(servesDeferred: false));
        Assert.Empty(reply.Problems);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Count == Jobs), "all jobs have ended");
        foreach (var id in ids)
        {
            var end = await world.EndOfAsync(id);
            Assert.True(end.State == JobState.Succeeded, end.Problem?.Message);
            Assert.True(end.EndedAt < end.Deadline - TimeSpan.FromMinutes(5), $"{end.Deadline - end.EndedAt} before its deadline");
        }
    }

    [Fact]
    public async Task Jobs_of_killed_silos_end_once_whether_they_wait_or_are_served()
    {
        const int Jobs = 12;
        await using var world = await StartAsync(8);
        var gate = new TaskCompletionSource();
        world.BeforeCall = _ => gate.Task;
        for (var i = 0; i < Jobs; i++)
        {
            await world.AcceptAsync(Body, Valley, deadlineSeconds: 2_400);
        }

        await JobsWorld.UntilAsync(() => Task.FromResult(world.Calls >= Slots), "some are served");
        foreach (var silo in world.Cluster.SecondarySilos.ToList())
        {
            await world.Cluster.KillSiloAsync(silo);
        }

        gate.SetResult();
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.DistinctBy(static record => record.Request).Count() == Jobs), "all jobs have ended");
        await world.RequireLedgerAndAuditAgreeAsync(Jobs);
        Assert.All(world.Audit.Records, static record => Assert.Equal(AuditKind.Settle, record.Kind));
    }

    [Fact]
    public async Task Jobs_are_there_after_a_restart_of_the_whole_cluster()
    {
        const int Jobs = 12;
        await using var world = await StartAsync(8);
        world.BeforeCall = static _ => new TaskCompletionSource().Task;
        for (var i = 0; i < Jobs; i++)
        {
            await world.AcceptAsync(Body, Valley, deadlineSeconds: 2_400);
        }

        await JobsWorld.UntilAsync(() => Task.FromResult(world.Calls >= Slots), "some are served");
        await world.RestartClusterAsync(() => world.BeforeCall = null);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.DistinctBy(static record => record.Request).Count() == Jobs), "all jobs have ended");
        await world.RequireLedgerAndAuditAgreeAsync(Jobs);
        Assert.All(world.Audit.Records, static record => Assert.Equal(AuditKind.Settle, record.Kind));
    }

    private static Task<JobsWorld> StartAsync(double speed, bool servesDeferred = true, double coldStartSeconds = 10) => JobsWorld.StartAsync(catalog: CatalogWith(servesDeferred, coldStartSeconds), speed: speed);

    private static CatalogDefinition CatalogWith(bool servesDeferred, double coldStartSeconds = 10)
    {
        var model = JobsWorld.Catalog.Models[0];
        var like = model.Variants[0].Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async");
        return JobsWorld.Catalog with
        {
            Models = [model with { Variants = [model.Variants[0] with { Endpoints = [like, like with { Name = new(Valley), Lane = Lane.Realtime, MinInstances = 1, ServesDeferred = servesDeferred, Prior = like.Prior with { ColdStartSeconds = coldStartSeconds } }] }] }],
        };
    }

    private static InferenceRequest RequestOf(TrafficClass trafficClass) => new()
    {
        Tenant = JobsWorld.Acme,
        Model = JobsWorld.Chat,
        Body = Encoding.UTF8.GetBytes(Body),
        Class = trafficClass,
        Deadline = TimeSpan.FromHours(2),
        InputTokens = 30,
        MaxOutputTokens = 5,
    };

    private static Task<InferenceOutcome> InvokeAsync(JobsWorld world, TrafficClass trafficClass) =>
        world.Services.GetRequiredService<IDispatcher>().InvokeAsync(RequestOf(trafficClass) with { LaneMask = 1 << (int)Lane.Realtime }, TestContext.Current.CancellationToken);

    private static async Task<int> LiveAsync(JobsWorld world) =>
        (await world.Grains.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics()).Where(static grain => grain.GrainType.Contains("JobGrain", StringComparison.Ordinal)).Sum(static grain => grain.ActivationCount);
}
