using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>Every silo dies with ten thousand jobs in all states that a job can be in.</summary>
public sealed class RestartWithManyJobsTests
{
    private const string Good = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";
    private const string Bad = """{"question":1}""";
    private const double Long = 500_000;

    private static readonly Money Cap = Money.FromDollars(0.01m);

    private enum Part
    {
        Succeeded,
        Failed,
        Cancelled,
        Expired,
        Unsettled,
        Dispatched,
        InRunningWindow,
        InOpenWindow,
        Accepted,
        Held,
    }

    private static readonly IReadOnlyDictionary<Part, int> Counts = new Dictionary<Part, int>
    {
        [Part.Succeeded] = 3_500,
        [Part.Failed] = 1_000,
        [Part.Cancelled] = 500,
        [Part.Expired] = 500,
        [Part.Unsettled] = 500,
        [Part.Dispatched] = 1_500,
        [Part.InRunningWindow] = 500,
        [Part.InOpenWindow] = 500,
        [Part.Accepted] = 1_000,
        [Part.Held] = 500,
    };

    private static int All => Counts.Values.Sum();

    [Fact]
    public async Task Ten_thousand_jobs_in_all_states_end_once_each_after_every_silo_has_died()
    {
        Assert.Equal(10_000, All);
        await using var world = await JobsWorld.StartAsync(publish: false, catalog: Catalog(), retention: TimeSpan.FromDays(7));
        var tenant = world.Cluster.GrainFactory.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);

        // The answers of those that are to stay dispatched, or to expire, are not found until the restart.
        var unanswered = Keys(Part.Dispatched).Concat(Keys(Part.Expired)).Select(KeyOf).ToHashSet();
        world.StoreFault = (_, key) => key.EndsWith("/answer", StringComparison.Ordinal) && unanswered.Contains(key.Split('/') is [.., var owner, var id, _, _] ? $"{owner}/{id}" : "") ? new NoSuchKeyException() : null;
        await SubmitAsync(world, Part.Succeeded, "long-async");
        await SubmitAsync(world, Part.Failed, "long-async", body: Bad);
        await EndedAsync(world, Counts[Part.Succeeded] + Counts[Part.Failed]);
        await SubmitAsync(world, Part.Expired, "long-async", deadlineSeconds: 900);
        await SubmitAsync(world, Part.Dispatched, "long-async");
        world.IsRuntimeDown = true;
        await SubmitAsync(world, Part.Cancelled, "long-async");
        await EachAsync(Part.Cancelled, async name => Assert.NotNull(await world.Jobs.CancelAsync(JobsWorld.Acme, IdOf(name), TestContext.Current.CancellationToken)));
        await EndedAsync(world, Counts[Part.Succeeded] + Counts[Part.Failed] + Counts[Part.Cancelled] + Counts[Part.Expired]);
        world.IsRuntimeDown = false;

        await SubmitAsync(world, Part.InRunningWindow, "slow-batch");
        await JobsWorld.UntilAsync(async () => await WindowAsync(world, "slow-batch", 1) == WindowState.Running, "the transform job runs");
        world.Audit.IsDown = true;
        await SubmitAsync(world, Part.Unsettled, "long-async");
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Refused >= Counts[Part.Unsettled]), "the settlements were tried");
        world.IsRuntimeDown = true;
        await SubmitAsync(world, Part.InOpenWindow, "open-batch");
        await SubmitAsync(world, Part.Accepted, "long-async");
        var all = (await world.BudgetAsync()).Windows[0].Available;
        Assert.True((await tenant.Reserve("all that is left", all, world.Clock.Now + 50_000_000)).Granted);
        await SubmitAsync(world, Part.Held, "long-async", mayHold: true);

        // Each is where it is to be when the silos die.
        var before = await StatesAsync(world);
        foreach (var (part, name) in Names())
        {
            var view = before[name];
            var isThere = part switch
            {
                Part.Unsettled => view is { State: JobState.Succeeded, EndedAt: null },
                Part.Dispatched => view is { State: JobState.Dispatched or JobState.Running, EndedAt: null },
                Part.InRunningWindow or Part.InOpenWindow => view is { State: JobState.Accepted or JobState.Dispatched or JobState.Running, EndedAt: null, HeldUntil: null },
                Part.Accepted => view is { State: JobState.Accepted, EndedAt: null, HeldUntil: null },
                Part.Held => view is { State: JobState.Accepted, EndedAt: null, HeldUntil: not null },
                _ => view.State == EndOf(part) && view.EndedAt is not null,
            };
            Assert.True(isThere, $"{name}: {view.State}, ended {view.EndedAt}, {view.Problem?.Message}");
        }

        Assert.Equal(WindowState.Running, await WindowAsync(world, "slow-batch", 1));
        Assert.Equal(WindowState.Open, await WindowAsync(world, "open-batch", 1));

        await world.RestartClusterAsync(() => (world.StoreFault, world.IsRuntimeDown, world.Audit.IsDown) = (null, false, false));
        await world.Cluster.GrainFactory.GetGrain<ITenantGrain>(JobsWorld.Acme.Value).Settle("all that is left", Money.Zero);
        await EndedAsync(world, All);

        await world.RequireLedgerAndAuditAgreeAsync(All);
        Assert.All(world.Audit.Records.GroupBy(static record => record.Reservation), static told => Assert.Single(told.Select(static record => record.Charge).Distinct()));
        Assert.Equal(All, world.Audit.Records.Select(static record => record.Reservation).Distinct().Count());
        var after = await StatesAsync(world);
        foreach (var (part, name) in Names())
        {
            Assert.True(after[name].State == EndOf(part) && after[name].EndedAt is not null, $"{name}: {after[name].State}, {after[name].Problem?.Message}");
        }

        // What had ended was not done again.
        Assert.All(Keys(Part.Succeeded).Concat(Keys(Part.Failed)), name => Assert.Equal((before[name].EndedAt, before[name].Route.Charge), (after[name].EndedAt, after[name].Route.Charge)));
    }

    private static IEnumerable<string> Keys(Part part) => Enumerable.Range(0, Counts[part]).Select(i => $"{part}-{i}");

    private static IEnumerable<(Part Part, string Name)> Names() => Counts.Keys.SelectMany(static part => Keys(part).Select(name => (part, name)));

    private static JobState EndOf(Part part) => part switch
    {
        Part.Failed => JobState.Failed,
        Part.Cancelled => JobState.Cancelled,
        Part.Expired => JobState.Expired,
        _ => JobState.Succeeded,
    };

    private static string IdOf(string name) => JobAddress.IdOf(JobsWorld.Acme, name);

    private static string KeyOf(string name) => new JobAddress(JobsWorld.Acme, IdOf(name)).Key;

    private static Task EachAsync(Part part, Func<string, Task> act) =>
        Parallel.ForEachAsync(Keys(part), new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (name, _) => await act(name));

    private static Task SubmitAsync(JobsWorld world, Part part, string endpoint, string body = Good, double deadlineSeconds = Long, bool mayHold = false) =>
        EachAsync(part, async name =>
        {
            var outcome = await world.SubmitAsync(body, endpoint, deadlineSeconds, key: name, cap: Cap, mayHold: mayHold);
            Assert.True(outcome.JobId == IdOf(name), outcome.Problem?.Message);
        });

    private static async Task<Dictionary<string, JobView>> StatesAsync(JobsWorld world)
    {
        var states = new System.Collections.Concurrent.ConcurrentDictionary<string, JobView>();
        foreach (var part in Counts.Keys)
        {
            await EachAsync(part, async name => states[name] = (await world.Jobs.GetAsync(JobsWorld.Acme, IdOf(name), TimeSpan.Zero, TestContext.Current.CancellationToken))!);
        }

        return new(states);
    }

    private static async Task<WindowState> WindowAsync(JobsWorld world, string endpoint, int number) =>
        (await world.Cluster.GrainFactory.GetGrain<IBatchWindowGrain>($"{endpoint}/{number}").GetView()).State;

    // So many take longer than one wait is to take; that they go on is waited for.
    private static async Task EndedAsync(JobsWorld world, int count)
    {
        for (var ended = 0; ended < count;)
        {
            var before = ended;
            await JobsWorld.UntilAsync(
                () => Task.FromResult((ended = world.Audit.Requests) > before || ended >= count),
                $"more than {before} of {count} jobs end");
        }
    }

    private static CatalogDefinition Catalog()
    {
        var variant = JobsWorld.Catalog.Models[0].Variants[0];
        var async = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async") with { Name = new("long-async"), ConcurrencyPerInstance = 1_000 };
        var batch = variant.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { ConcurrencyPerInstance = 1_000, MaxInstances = 4 };
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
                                async,
                                batch with { Name = new("slow-batch"), WindowMaxRequests = 500, WindowMaxSeconds = 600, MaxServiceSeconds = 3_600, Simulation = batch.Simulation with { BaseSeconds = 3_500 } },
                                batch with { Name = new("open-batch"), WindowMaxRequests = 4_000, WindowMaxSeconds = 7_200 },
                            ],
                        },
                    ],
                },
            ],
        };
    }
}
