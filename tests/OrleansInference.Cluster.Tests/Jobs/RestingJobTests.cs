using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>Jobs that wait long are not in memory.</summary>
public sealed class RestingJobTests
{
    private const int Each = 1_000;
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    [Fact]
    public async Task A_job_that_waits_long_leaves_memory_and_ends_without_anybody_asking()
    {
        await using var world = await JobsWorld.StartAsync(notify: true, publish: false);

        // Its answer is not found before it was seen to have left memory.
        world.StoreFault = static (_, key) => key.EndsWith("/answer", StringComparison.Ordinal) ? new NoSuchKeyException() : null;
        var id = await world.AcceptAsync(Body, "chat-async-slow");
        await JobsWorld.UntilAsync(async () => await LiveAsync(world) == 0, "the job has left memory");
        Assert.Empty(world.Audit.Records);
        world.StoreFault = null;
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Any(record => record.Kind == AuditKind.Settle && record.Request.EndsWith(id, StringComparison.Ordinal))), "the job was settled");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_job_that_is_to_stay_is_not_collected_while_it_is_idle()
    {
        await using var world = await JobsWorld.StartAsync(notify: true, publish: false);
        world.StoreFault = static (_, key) => key.EndsWith("/answer", StringComparison.Ordinal) ? new NoSuchKeyException() : null;
        Assert.NotNull((await world.SubmitAsync(Body, "chat-async-slow", deadlineSeconds: 200)).JobId);
        var management = world.Grains.GetGrain<IManagementGrain>(0);
        await JobsWorld.UntilAsync(
            async () =>
            {
                await management.ForceActivationCollection(TimeSpan.FromMilliseconds(1));
                var live = await LiveAsync(world);
                var hasEnded = world.Audit.Records.Count > 0;
                Assert.True(live == 1 || hasEnded);
                return hasEnded;
            },
            "the job ended at its deadline");
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task A_job_that_has_ended_leaves_memory_and_is_there_for_who_asks()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        await JobsWorld.UntilAsync(async () => await LiveAsync(world) == 0, "the ended job has left memory");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        await JobsWorld.UntilAsync(async () => await LiveAsync(world) == 0, "it has left memory again");
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task An_ended_job_whose_deletion_is_missed_is_deleted_minutes_later()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        var job = world.Grains.GetGrain<IJobGrain>(new JobAddress(JobsWorld.Acme, id).Key).GetGrainId();
        var table = world.Services.GetRequiredService<IReminderTable>();
        ReminderEntry? reminder = null;

        // It is kept for a day, and was reminded of minutes after its acceptance until then.
        await JobsWorld.UntilAsync(
            async () => (reminder = Assert.Single((await table.ReadRows(job)).Reminders)).StartAt > DateTime.UtcNow + world.Clock.ToWall(TimeSpan.FromHours(12)),
            "it is to be deleted when its time is over");
        Assert.InRange(reminder!.Period, TimeSpan.FromSeconds(1), world.Clock.ToWall(TimeSpan.FromMinutes(5)));
    }

    [Fact]
    public async Task A_job_with_a_waiting_caller_stays_until_its_end()
    {
        await using var world = await JobsWorld.StartAsync();
        var id = await world.AcceptAsync(Body, "chat-async-slow");
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(id)).State);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task Thousands_of_waiting_jobs_of_both_lanes_do_not_stay_in_memory_and_each_ends_once()
    {
        await using var world = await JobsWorld.StartAsync(publish: false, catalog: Catalog());
        var cap = Money.FromDollars(0.01m);

        // Until it is let go, no answer of the async lane is found, and no window has its transform job.
        world.StoreFault = static (_, key) => key.EndsWith("/answer", StringComparison.Ordinal) ? new NoSuchKeyException() : null;
        world.AreTransformsDown = true;
        await Parallel.ForEachAsync(Enumerable.Range(0, 2 * Each), new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (i, _) =>
            Assert.NotNull((await world.SubmitAsync(Body, i % 2 == 0 ? "long-async" : "long-batch", deadlineSeconds: 200_000, cap: cap)).JobId));
        await JobsWorld.UntilAsync(
            async () =>
            {
                Assert.Equal(2 * Each, (await world.BudgetAsync()).Reserved.Nanos / cap.Nanos);
                return await LiveAsync(world) <= Each / 10;
            },
            "most jobs that wait have left memory");
        (world.StoreFault, world.AreTransformsDown) = (null, false);
        for (var ended = 0; ended < 2 * Each;)
        {
            var before = ended;
            await JobsWorld.UntilAsync(() => Task.FromResult((ended = world.Audit.Records.Count) > before || ended >= 2 * Each), $"more than {before} jobs end");
        }

        await world.RequireLedgerAndAuditAgreeAsync(2 * Each);
        Assert.All(world.Audit.Records, static record => Assert.Equal(AuditKind.Settle, record.Kind));
        Assert.Equal(2 * Each, world.Audit.Records.Count);
    }

    private static async Task<int> LiveAsync(JobsWorld world) =>
        (await world.Grains.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics()).Where(static grain => grain.GrainType.Contains("JobGrain", StringComparison.Ordinal)).Sum(static grain => grain.ActivationCount);

    private static CatalogDefinition Catalog()
    {
        var variant = JobsWorld.Catalog.Models[0].Variants[0];
        var slow = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async-slow");
        var batch = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch");
        return JobsWorld.Catalog with
        {
            Tenants = [new() { Id = JobsWorld.Acme, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(1_000) }] }],
            Models =
            [
                JobsWorld.Catalog.Models[0] with
                {
                    Variants =
                    [
                        variant with
                        {
                            Endpoints =
                            [
                                slow with
                                {
                                    Name = new("long-async"),
                                    ConcurrencyPerInstance = Each,
                                    Simulation = slow.Simulation with { BaseSeconds = 2 },
                                },
                                batch with { Name = new("long-batch"), ConcurrencyPerInstance = 64, MaxInstances = 1, WindowMaxRequests = 2 * Each, WindowMaxSeconds = 600 },
                            ],
                        },
                    ],
                },
            ],
        };
    }
}
