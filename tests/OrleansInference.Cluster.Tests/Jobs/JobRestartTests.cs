using OrleansInference.Audit;

namespace OrleansInference.Tests.Jobs;

/// <summary>Every silo dies while a job is in a state, and nobody asks for the job afterwards: it must go on by itself.</summary>
public sealed class JobRestartTests
{
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    [Fact]
    public async Task An_accepted_job_is_dispatched_after_the_restart()
    {
        await using var world = await JobsWorld.StartAsync();
        world.IsRuntimeDown = true;
        var id = await world.AcceptAsync(Body, "chat-async");
        await world.RestartClusterAsync(() => world.IsRuntimeDown = false);
        await EndsByItselfAsync(world, id, JobState.Succeeded);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 1) > Money.Zero);
    }

    [Fact]
    public async Task A_dispatched_job_finds_its_result_after_the_restart()
    {
        await using var world = await JobsWorld.StartAsync(notify: false);
        var id = await world.AcceptAsync(Body, "chat-async-slow");
        await JobsWorld.UntilAsync(async () => (await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None))!.State == JobState.Dispatched, "dispatched");
        await world.RestartClusterAsync();
        await EndsByItselfAsync(world, id, JobState.Succeeded);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.Equal(1, world.Aws.InvocationCounts["chat-async-slow"].Completed);
    }

    [Fact]
    public async Task An_open_window_keeps_its_members_over_the_restart()
    {
        await using var world = await JobsWorld.StartAsync();
        const int Full = 10;
        var ids = (await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => AcceptAsync()))).ToList();
        var window = world.Grains.GetGrain<IBatchWindowGrain>("chat-batch-patient/1");
        await JobsWorld.UntilAsync(async () => (await window.GetView()).Members == 3, "all have joined");
        await world.RestartClusterAsync();

        // The others fill it: however long the restart took, no deadline is near.
        ids.AddRange(await Task.WhenAll(Enumerable.Range(ids.Count, Full - ids.Count).Select(_ => AcceptAsync())));
        foreach (var id in ids)
        {
            await EndsByItselfAsync(world, id, JobState.Succeeded);
        }

        await world.RequireLedgerAndAuditAgreeAsync(jobs: Full);
        Assert.Equal(Full, world.Aws.InvocationCounts["chat-batch-patient"].Completed);

        Task<string> AcceptAsync() => world.AcceptAsync(Body, "chat-batch-patient", deadlineSeconds: 20_000);
    }

    [Fact]
    public async Task A_running_window_is_followed_after_the_restart()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-batch-slow");
        await JobsWorld.UntilAsync(
            async () => (await world.Grains.GetGrain<IBatchWindowGrain>("chat-batch-slow/1").GetView()).State == WindowState.Running,
            "the transform job runs");
        await world.RestartClusterAsync();
        await EndsByItselfAsync(world, id, JobState.Succeeded);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
        Assert.Equal(1, world.Aws.InvocationCounts["chat-batch-slow"].Completed);
    }

    [Fact]
    public async Task An_end_that_was_decided_and_not_yet_settled_is_settled_once_after_the_restart()
    {
        await using var world = await JobsWorld.StartAsync();
        world.Audit.IsDown = true;
        var id = await world.AcceptAsync(Body, "chat-async");
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Refused >= 2), "the settlement was tried");
        Assert.Null((await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None))!.EndedAt);
        await world.RestartClusterAsync(() => world.Audit.IsDown = false);
        await EndsByItselfAsync(world, id, JobState.Succeeded);
        Assert.True(await world.RequireLedgerAndAuditAgreeAsync(jobs: 1) > Money.Zero);
    }

    [Fact]
    public async Task An_ended_job_and_its_result_outlive_the_restart()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async");
        var before = await world.EndOfAsync(id);
        await world.RestartClusterAsync();
        Assert.Equal(before, await world.EndOfAsync(id));
        Assert.Null((await world.Jobs.GetResultAsync(JobsWorld.Acme, id, CancellationToken.None))!.Problem);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task No_job_is_lost_or_charged_twice_when_a_silo_dies_amid_many()
    {
        await using var world = await JobsWorld.StartAsync();
        var before = await Task.WhenAll(Enumerable.Range(0, 30).Select(i => world.AcceptAsync(Body, i % 2 == 0 ? "chat-async" : "chat-batch")));
        await world.Cluster.KillSiloAsync(world.Cluster.SecondarySilos[0]);
        var after = await Task.WhenAll(Enumerable.Range(0, 10).Select(async i =>
        {
            // What was on the silo that died may be unavailable for a moment; who is told so comes again.
            string? id = null;
            await JobsWorld.UntilAsync(
                async () =>
                {
                    var outcome = await world.SubmitAsync(Body, i % 2 == 0 ? "chat-async" : "chat-batch", key: $"after-{i}");
                    Assert.True(outcome.Problem?.Code is null or ProblemCode.Unavailable, outcome.Problem?.Message);
                    return (id = outcome.JobId) is not null;
                },
                "the job is accepted");
            return id!;
        }));
        foreach (var id in before.Concat(after))
        {
            await EndsByItselfAsync(world, id, JobState.Succeeded);
        }

        await world.RequireLedgerAndAuditAgreeAsync(jobs: 40);
    }

    [Fact]
    public async Task An_ended_job_is_deleted_with_its_objects_when_its_retention_is_over()
    {
        await using var world = await JobsWorld.StartAsync(retention: TimeSpan.FromSeconds(120));
        var ids = new[] { await world.AcceptAsync(Body, "chat-async"), await world.AcceptAsync(Body, "chat-batch") };

        // By the log that they have ended, for on a slow machine the jobs may be gone before anybody looks.
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Ended == ids.Length), "both have ended");
        Assert.All(world.Audit.Records, static record => Assert.Equal((AuditKind.Settle, null), (record.Kind, record.Problem)));
        await JobsWorld.UntilAsync(async () => (await world.ObjectsAsync("")).Count == 0, "every object is deleted");
        foreach (var id in ids)
        {
            await JobsWorld.UntilAsync(async () => await world.Jobs.GetAsync(JobsWorld.Acme, id, TimeSpan.Zero, CancellationToken.None) is null, "the job is gone");
        }
    }

    private static async Task EndsByItselfAsync(JobsWorld world, string id, JobState state)
    {
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Any(record => record.Request.EndsWith(id, StringComparison.Ordinal))), $"job {id} has ended");
        var view = await world.EndOfAsync(id);
        Assert.True(view.State == state, $"{view.State}: {view.Problem?.Message}");
    }
}
