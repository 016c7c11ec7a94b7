using System.Collections.Concurrent;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>Every silo dies with ten thousand jobs in all states that a job can be in.</summary>
public sealed class RestartWithManyJobsTests
{
    private const string Good = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";
    private const string Bad = """{"question":1}""";
    private const string Rest = "all that is left";
    private const string Async = "many-async";
    private const string RunningBatch = "many-batch-running";
    private const string OpenBatch = "many-batch-open";

    // Slow enough that what waits has few looks to take while the others are brought to where they are to be.
    private const double Speed = 15;
    private const double LongSeconds = 500_000;

    // Some seconds of the machine's time. Nothing depends on how many: its answer is not found in any case.
    private const double ShortSeconds = 60;

    private static readonly Money Cap = Money.FromDollars(0.01m);
    private static readonly Money Price = Money.FromNanos(1_007);

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
        [Part.Succeeded] = 2_000,
        [Part.Failed] = 500,
        [Part.Cancelled] = 4_200,
        [Part.Expired] = 500,
        [Part.Unsettled] = 300,
        [Part.Dispatched] = 1_000,
        [Part.InRunningWindow] = 300,
        [Part.InOpenWindow] = 300,
        [Part.Accepted] = 700,
        [Part.Held] = 200,
    };

    private static readonly Part[] EndedBefore = [Part.Succeeded, Part.Failed, Part.Cancelled, Part.Expired];

    [Fact]
    public async Task Ten_thousand_jobs_in_all_states_end_once_each_after_every_silo_has_died()
    {
        var all = Counts.Values.Sum();
        Assert.Equal(10_000, all);
        await using var world = await JobsWorld.StartAsync(publish: false, catalog: Catalog(), retention: TimeSpan.FromDays(7), speed: Speed, silos: 1);
        var unanswered = Names(Part.Dispatched).Concat(Names(Part.Expired)).Select(KeyOf).ToHashSet();
        world.StoreFault = (_, key) => key.Split('/') is [.., var owner, var id, _, "answer"] && unanswered.Contains($"{owner}/{id}") ? new NoSuchKeyException() : null;
        await BringThereAsync(world);
        var before = await ViewsAsync(world);
        Assert.All(before, static job => RequireIsThere(PartOf(job.Key), job.Value));
        Assert.Equal((WindowState.Running, WindowState.Open), ((await WindowAsync(world, RunningBatch)).State, (await WindowAsync(world, OpenBatch)).State));

        await world.RestartClusterAsync(() => (world.StoreFault, world.IsRuntimeDown, world.Audit.IsDown, world.DoTransformsLast) = (null, false, false, false));

        // The money for those that are held, and the one that fills the window, so that it closes whatever the time.
        await TenantOf(world).Settle(Rest, Money.Zero);
        await SubmitAsync(world, "last", OpenBatch);
        await EndedAsync(world, all + 1);

        // Each once, in the books of the tenant as in those of the job: what had an answer, or the model's own error, is paid for.
        await world.RequireLedgerAndAuditAgreeAsync(all + 1);
        Assert.Equal(all + 1, world.Audit.Records.Select(static record => record.Reservation).Distinct().Count());
        var after = await ViewsAsync(world);
        Assert.All(after, static job =>
        {
            var (name, view) = job;
            Assert.True(view.State == EndOf(PartOf(name)) && view.EndedAt is not null, $"{name}: {view.State}, {view.Problem?.Message}");
            Assert.Equal(view.State is JobState.Succeeded or JobState.Failed ? Price : Money.Zero, view.Route.Charge);
        });
        var paid = Counts.Where(static part => part.Key is not (Part.Cancelled or Part.Expired)).Sum(static part => part.Value) + 1;
        Assert.Equal(Price * paid, (await world.BudgetAsync()).SettledTotal);

        // What had ended is as it was.
        Assert.All(EndedBefore.SelectMany(Names), name => Assert.Equal(before[name], after[name]));

        // The model was asked once for each; what expired may have done so before its turn came.
        var asked = world.Aws.Invocations.Where(static call => call.Endpoint == Async).Select(static call => call.InferenceId!).ToList();
        Assert.Equal(asked.Count, asked.Distinct().Count());
        var never = ((Part[])[Part.Cancelled, Part.InRunningWindow, Part.InOpenWindow, Part.Expired]).SelectMany(Names).Select(InferenceIdOf);
        Assert.Equal(before.Keys.Select(InferenceIdOf).Except(never).Order(), asked.Except(Names(Part.Expired).Select(InferenceIdOf)).Order());
        var counts = world.Aws.InvocationCounts;
        Assert.Equal((Counts[Part.InRunningWindow], Counts[Part.InOpenWindow] + 1), (counts[RunningBatch].Total, counts[OpenBatch].Total));
    }

    private static async Task BringThereAsync(JobsWorld world)
    {
        world.DoTransformsLast = true;
        await Task.WhenAll(
            SubmitAsync(world, Part.Succeeded, Async),
            SubmitAsync(world, Part.Failed, Async, body: Bad),
            SubmitAsync(world, Part.Expired, Async, deadlineSeconds: ShortSeconds),
            SubmitAsync(world, Part.Dispatched, Async),
            SubmitAsync(world, Part.InRunningWindow, RunningBatch),
            SubmitAsync(world, Part.InOpenWindow, OpenBatch));
        var ended = Counts[Part.Succeeded] + Counts[Part.Failed] + Counts[Part.Expired];
        await EndedAsync(world, ended);
        await EachAsync(Names(Part.Dispatched), name => JobsWorld.UntilAsync(async () => (await ViewAsync(world, name)).State != JobState.Accepted, $"{name} is dispatched"));
        await JobsWorld.UntilAsync(async () => await WindowAsync(world, RunningBatch) is { State: WindowState.Running }, "the transform job runs");
        await JobsWorld.UntilAsync(async () => await WindowAsync(world, OpenBatch) is { State: WindowState.Open } window && window.Members == Counts[Part.InOpenWindow], "the open window has its members");

        world.IsRuntimeDown = true;
        await SubmitAsync(world, Part.Cancelled, Async);
        await EachAsync(Names(Part.Cancelled), async name => Assert.NotNull(await world.Jobs.CancelAsync(JobsWorld.Acme, IdOf(name), TestContext.Current.CancellationToken)));
        await EndedAsync(world, ended + Counts[Part.Cancelled]);

        (world.IsRuntimeDown, world.Audit.IsDown) = (false, true);
        await SubmitAsync(world, Part.Unsettled, Async);
        await ProgressAsync(() => world.Audit.RefusedRequests, Counts[Part.Unsettled], "the settlement was tried");

        world.IsRuntimeDown = true;
        await SubmitAsync(world, Part.Accepted, Async);
        Assert.True((await TenantOf(world).Reserve(Rest, (await world.BudgetAsync()).Windows[0].Available, world.Clock.Now + 50_000_000)).Granted);
        await SubmitAsync(world, Part.Held, Async, mayHold: true);
    }

    private static ITenantGrain TenantOf(JobsWorld world) => world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);

    private static void RequireIsThere(Part part, JobView view)
    {
        var isThere = part switch
        {
            Part.Unsettled => view is { State: JobState.Dispatched, EndedAt: null },
            Part.Dispatched or Part.InRunningWindow or Part.InOpenWindow => view is { State: JobState.Dispatched or JobState.Running, EndedAt: null },
            Part.Accepted => view is { State: JobState.Accepted, EndedAt: null, HeldUntil: null },
            Part.Held => view is { State: JobState.Accepted, EndedAt: null, HeldUntil: not null },
            _ => view.State == EndOf(part) && view.EndedAt is not null,
        };
        Assert.True(isThere, $"{part}: {view.State}, ended {view.EndedAt}, held until {view.HeldUntil}, {view.Problem?.Message}");
    }

    private static JobState EndOf(Part part) => part switch
    {
        Part.Failed => JobState.Failed,
        Part.Cancelled => JobState.Cancelled,
        Part.Expired => JobState.Expired,
        _ => JobState.Succeeded,
    };

    private static IEnumerable<string> Names(Part part) => Enumerable.Range(0, Counts[part]).Select(i => $"{part}-{i}");

    private static Part PartOf(string name) => Enum.Parse<Part>(name.AsSpan(0, name.IndexOf('-', StringComparison.Ordinal)));

    private static string IdOf(string name) => JobAddress.IdOf(JobsWorld.Acme, name);

    private static string InferenceIdOf(string name) => new JobAddress(JobsWorld.Acme, IdOf(name)).InferenceId;

    private static string KeyOf(string name) => new JobAddress(JobsWorld.Acme, IdOf(name)).Key;

    private static Task EachAsync(IEnumerable<string> names, Func<string, Task> act) =>
        Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (name, _) => await act(name));

    private static Task SubmitAsync(JobsWorld world, Part part, string endpoint, string body = Good, double deadlineSeconds = LongSeconds, bool mayHold = false) =>
        EachAsync(Names(part), name => SubmitAsync(world, name, endpoint, body, deadlineSeconds, mayHold));

    private static async Task SubmitAsync(JobsWorld world, string name, string endpoint, string body = Good, double deadlineSeconds = LongSeconds, bool mayHold = false)
    {
        var outcome = await world.SubmitAsync(body, endpoint, deadlineSeconds, key: name, cap: Cap, mayHold: mayHold);
        Assert.True(outcome.JobId == IdOf(name), outcome.Problem?.Message);
    }

    private static async Task<IReadOnlyDictionary<string, JobView>> ViewsAsync(JobsWorld world)
    {
        var views = new ConcurrentDictionary<string, JobView>();
        await EachAsync(Counts.Keys.SelectMany(Names), async name => views[name] = await ViewAsync(world, name));
        return views;
    }

    private static async Task<JobView> ViewAsync(JobsWorld world, string name) =>
        (await world.Jobs.GetAsync(JobsWorld.Acme, IdOf(name), TimeSpan.Zero, TestContext.Current.CancellationToken))!;

    private static Task<WindowView> WindowAsync(JobsWorld world, string endpoint) => world.Grains.GetGrain<IBatchWindowGrain>($"{endpoint}/1").GetView();

    private static Task EndedAsync(JobsWorld world, int count) => ProgressAsync(() => world.Audit.Ended, count, "have ended");

    // So many take longer than one wait is to take; that they go on is waited for.
    private static async Task ProgressAsync(Func<int> done, int count, string what)
    {
        for (var now = 0; now < count;)
        {
            var before = now;
            await JobsWorld.UntilAsync(() => Task.FromResult((now = done()) > before || now >= count), $"more than {before} of {count}: {what}");
        }
    }

    private static CatalogDefinition Catalog()
    {
        var model = JobsWorld.Catalog.Models[0];
        var variant = model.Variants[0];
        var async = Named("chat-async") with { ConcurrencyPerInstance = 1_000 };
        var batch = Named("chat-batch") with { ConcurrencyPerInstance = 1_000, WindowMaxSeconds = 100_000 };
        return JobsWorld.Catalog with
        {
            Tenants = [new() { Id = JobsWorld.Acme, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(1_000) }] }],
            Models =
            [
                model with
                {
                    Variants =
                    [
                        variant with
                        {
                            Endpoints =
                            [
                                async with { Name = new(Async) },
                                batch with { Name = new(RunningBatch), WindowMaxRequests = Counts[Part.InRunningWindow] },
                                batch with { Name = new(OpenBatch), WindowMaxRequests = Counts[Part.InOpenWindow] + 1 },
                            ],
                        },
                    ],
                },
            ],
        };

        EndpointDefinition Named(string name) => variant.Endpoints.Single(endpoint => endpoint.Name.Value == name) with { Tariff = new() { PerRequest = Price } };
    }
}
