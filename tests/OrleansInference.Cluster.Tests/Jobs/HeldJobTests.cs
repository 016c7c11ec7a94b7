using System.Collections.Immutable;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests.Jobs;

/// <summary>A budget for two requests in half an hour, and a third: what is held waits for its money as a durable job.</summary>
public sealed class HeldJobTests
{
    private const int WindowSeconds = 1_800;

    // However slow the machine, what was spent is in a window so long until the test is over.
    private const int LongWindowSeconds = 36_000;
    private const double LongDeadlineSeconds = 72_000;

    // Too short for the long window, and half a minute of the machine's time.
    private const double ShortDeadlineSeconds = 1_800;

    // A window is kept in at most 128 slices, each of a round time.
    private const int SliceSeconds = 300;
    private const int SkewSeconds = 2;

    private static readonly Money Price = Money.FromDollars(0.01m);
    private static readonly Money Limit = Price * 2;

    [Fact]
    public async Task A_held_job_runs_when_the_window_frees_and_is_charged_once()
    {
        await using var world = await StartAsync();
        await SpendAllAsync(world);
        var held = await SendAsync(world);
        Assert.NotNull(held.HeldUntil);
        var view = await ViewOfAsync(world, held);
        Assert.Equal(JobState.Accepted, view.State);
        Assert.Equal(held.HeldUntil, view.HeldUntil);
        Assert.True((await world.BudgetAsync()).Windows[0].Available < Price);

        await EndsByItselfAsync(world, held, JobState.Succeeded);
        var end = await ViewOfAsync(world, held);
        Assert.Equal(Price, end.Route.Charge);
        Assert.Null(end.HeldUntil);
        Assert.True(end.EndedAt - end.AcceptedAt > TimeSpan.FromSeconds(1));
        await RequireNeverOverspentAsync(world, jobs: 3);
        Assert.Equal(3, world.Aws.InvocationCounts["chat-async"].Completed);
    }

    [Fact]
    public async Task A_held_job_outlives_every_silo()
    {
        await using var world = await StartAsync();
        await SpendAllAsync(world);
        var held = await SendAsync(world);
        Assert.NotNull((await ViewOfAsync(world, held)).HeldUntil);
        await world.RestartClusterAsync();
        await EndsByItselfAsync(world, held, JobState.Succeeded);
        await RequireNeverOverspentAsync(world, jobs: 3);
        Assert.Equal(3, world.Aws.InvocationCounts["chat-async"].Completed);
    }

    [Fact]
    public async Task Held_jobs_get_the_money_that_frees_by_their_deadlines_at_once_and_before_what_is_new()
    {
        await using var world = await StartAsync(windowSeconds: LongWindowSeconds);
        var tenant = world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        foreach (var other in (string[])["one", "two"])
        {
            Assert.True((await tenant.Reserve(other, Price, world.Clock.Now + 5_000_000)).Granted);
        }

        var late = await SendAsync(world, deadlineSeconds: 20_000);
        var early = await SendAsync(world, deadlineSeconds: 15_000);
        Assert.True(late.HeldUntil is not null && early.HeldUntil is not null, late.Problem?.Message ?? early.Problem?.Message);

        // Long before anybody expected it, the money for one is back.
        await tenant.Settle("one", Money.Zero);
        Assert.False((await tenant.Reserve("new", Price, world.Clock.Now + 60_000)).Granted);
        await EndsByItselfAsync(world, early, JobState.Succeeded);
        Assert.Equal(JobState.Accepted, (await ViewOfAsync(world, late)).State);
        await tenant.Settle("two", Money.Zero);
        await EndsByItselfAsync(world, late, JobState.Succeeded);
        Assert.Equal(2, world.Aws.InvocationCounts["chat-async"].Completed);
        Assert.Equal(Limit, (await world.BudgetAsync()).SettledTotal);
    }

    [Fact]
    public async Task A_job_of_a_silo_of_the_version_before_is_counted_and_gets_its_money_when_it_asks()
    {
        await using var world = await StartAsync(maxHeldJobs: 1);
        var tenant = world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        foreach (var other in (string[])["one", "two"])
        {
            Assert.True((await tenant.Reserve(other, Price, world.Clock.Now + 5_000_000)).Granted);
        }

        var until = world.Clock.Now + 5_000_000;
        Assert.True(await tenant.Hold("acme/old/1", until));
        Assert.True(await tenant.Hold("acme/old/1", until));
        Assert.False(await tenant.Hold("acme/older/1", until));
        await tenant.Settle("one", Money.Zero);
        Assert.Equal(Price, (await world.BudgetAsync()).Reserved);
        Assert.True((await tenant.Reserve("acme/old/1", Price, until)).Granted);
        Assert.True(await tenant.Hold("acme/older/1", until));
        await tenant.Settle("acme/older/1", Money.Zero);
        Assert.True(await tenant.Hold("acme/oldest/1", until));
    }

    [Fact]
    public async Task Held_jobs_are_bounded_and_a_cancelled_one_makes_room()
    {
        await using var world = await StartAsync(maxHeldJobs: 1, windowSeconds: LongWindowSeconds);
        await SpendAllAsync(world);
        var first = await SendAsync(world, LongDeadlineSeconds);
        Assert.NotNull(first.HeldUntil);
        var second = await SendAsync(world, LongDeadlineSeconds);
        Assert.Equal(ProblemCode.BudgetExhausted, second.Problem?.Code);
        Assert.Contains("1 jobs are held", second.Problem!.Message, StringComparison.Ordinal);
        Assert.NotNull(second.Problem.RetryAfter);

        var cancelled = await world.Jobs.CancelAsync(JobsWorld.Acme, first.JobId!, CancellationToken.None);
        Assert.Equal((JobState.Cancelled, Money.Zero), (cancelled!.State, cancelled.Route.Charge));
        Assert.NotNull((await SendAsync(world, LongDeadlineSeconds)).HeldUntil);
    }

    [Fact]
    public async Task What_cannot_wait_for_the_money_is_refused_at_once_with_the_time_to_come_back()
    {
        await using var world = await StartAsync(windowSeconds: LongWindowSeconds);
        await SpendAllAsync(world);
        foreach (var refused in new[] { await SendAsync(world, ShortDeadlineSeconds), await SendAsync(world, delivery: Delivery.Inline) })
        {
            Assert.Null(refused.JobId);
            Assert.Equal(ProblemCode.BudgetExhausted, refused.Problem?.Code);

            // What was spent counts from up to twice the clocks' skew later, to the end of its slice of the window.
            Assert.InRange(refused.Problem!.RetryAfter!.Value.TotalSeconds, 1, LongWindowSeconds + (2 * SkewSeconds) + SliceSeconds);
        }
    }

    [Fact]
    public async Task A_held_job_whose_deadline_passes_before_its_money_comes_expires_with_nothing_charged_and_makes_room()
    {
        await using var world = await StartAsync(maxHeldJobs: 1, windowSeconds: LongWindowSeconds);
        var tenant = world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);
        Assert.True((await tenant.Reserve("other", Limit, world.Clock.Now + 1_500_000)).Granted);
        var held = await SendAsync(world, ShortDeadlineSeconds);
        Assert.NotNull(held.HeldUntil);

        // The money that was to come back is spent instead.
        await tenant.Settle("other", Limit);
        await EndsByItselfAsync(world, held, JobState.Expired);
        var view = await ViewOfAsync(world, held);
        Assert.Equal((Money.Zero, null), (view.Route.Charge, view.HeldUntil));
        Assert.Contains("held for the tenant's budget", view.Problem?.Message, StringComparison.Ordinal);
        var budget = await world.BudgetAsync();
        Assert.Equal((Limit, Money.Zero, Money.Zero), (budget.SettledTotal, budget.Reserved, budget.UnreportedTotal));
        Assert.All(world.Audit.Records, static record => Assert.Equal(Money.Zero, record.Charge));
        Assert.Equal(0, world.Aws.InvocationCounts.GetValueOrDefault("chat-async")?.Completed ?? 0);

        // Its place among the held is free again.
        Assert.NotNull((await SendAsync(world, LongDeadlineSeconds)).HeldUntil);
    }

    [Fact]
    public async Task A_dry_run_says_until_when_the_request_would_be_held_and_refuses_only_what_cannot_wait()
    {
        await using var world = await StartAsync(windowSeconds: LongWindowSeconds);
        await SpendAllAsync(world);
        var waits = await ExplainAsync(LongDeadlineSeconds);
        Assert.Null(waits.Problem);
        Assert.Contains("would be held until 20", waits.Held, StringComparison.Ordinal);
        Assert.Contains($"{Price} $ are needed and of the budget of {Limit} $", waits.Held, StringComparison.Ordinal);

        var cannot = await ExplainAsync(ShortDeadlineSeconds);
        Assert.Null(cannot.Held);
        Assert.Equal(ProblemCode.BudgetExhausted, cannot.Problem?.Code);
        Assert.NotNull(cannot.Problem!.RetryAfter);

        async Task<Explanation> ExplainAsync(double deadlineSeconds) =>
            (await world.Services.GetRequiredService<IDispatcher>().ExplainAsync(Request(deadlineSeconds, Delivery.Either), TestContext.Current.CancellationToken)).Explanation!;
    }

    [Fact]
    public async Task What_is_above_the_whole_limit_is_told_that_it_never_fits_and_given_no_time_to_come_back()
    {
        var catalog = Catalog([LowBudgetStep.Hold]);
        await using var world = await JobsWorld.StartAsync(catalog: catalog with
        {
            Tenants = [catalog.Tenants[0] with { Budgets = [catalog.Tenants[0].Budgets[0] with { Limit = Price - Money.FromNanos(1) }] }],
        });
        var refused = await SendAsync(world);
        Assert.Null(refused.JobId);
        Assert.Equal(ProblemCode.BudgetExhausted, refused.Problem?.Code);
        Assert.Null(refused.Problem!.RetryAfter);
        Assert.Contains("it never will, for that is more than the whole limit", refused.Problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Refuse", null, false)]
    [InlineData("Hold", Lane.Async, true)]
    [InlineData("CheaperLane,Hold", Lane.Batch, false)]
    [InlineData("CheaperLane,Refuse", Lane.Batch, false)]
    public async Task Each_tenant_s_own_order_decides_what_becomes_of_a_request_that_the_budget_does_not_cover(string order, Lane? lane, bool held)
    {
        var catalog = Catalog([.. order.Split(',').Select(Enum.Parse<LowBudgetStep>)], LongWindowSeconds);
        var model = catalog.Models[0];
        var endpoints = model.Variants[0].Endpoints;
        var batch = JobsWorld.Catalog.Models[0].Variants[0].Endpoints.First(endpoint => endpoint.Lane == Lane.Batch);

        // The batch lane charges so little that it is affordable to the last, and costs the operator a start that async does not.
        catalog = catalog with { Models = [model with { Variants = [model.Variants[0] with { Endpoints = [.. endpoints, batch with { Tariff = new() { PerRequest = Money.FromNanos(1) } }] }] }] };
        catalog = catalog with { Tenants = [catalog.Tenants[0] with { Budgets = [catalog.Tenants[0].Budgets[0] with { Limit = Limit + Money.FromNanos(10) }] }] };
        await using var world = await JobsWorld.StartAsync(catalog: catalog);
        await SpendAllAsync(world);
        var outcome = await SendAsync(world, LongDeadlineSeconds);
        Assert.Equal(lane is null ? ProblemCode.BudgetExhausted : null, outcome.Problem?.Code);
        Assert.Equal(lane, outcome.JobId is null ? null : outcome.Route?.Lane);
        Assert.Equal(held, outcome.HeldUntil is not null);
    }

    private static Task<JobsWorld> StartAsync(int? maxHeldJobs = null, long windowSeconds = WindowSeconds) => JobsWorld.StartAsync(maxHeldJobs: maxHeldJobs, catalog: Catalog([LowBudgetStep.Hold], windowSeconds));

    internal static CatalogDefinition Catalog(ImmutableArray<LowBudgetStep> order, long windowSeconds = WindowSeconds)
    {
        var model = JobsWorld.Catalog.Models[0];
        var variant = model.Variants[0];
        return JobsWorld.Catalog with
        {
            Tenants =
            [
                new()
                {
                    Id = JobsWorld.Acme,
                    Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = windowSeconds, Limit = Limit }],
                    LowBudget = order,
                    DefaultClass = TrafficClass.Medium,
                },
            ],
            Models = [model with { Variants = [variant with { Endpoints = [variant.Endpoints[0] with { Tariff = new() { PerRequest = Price } }] }] }],
        };
    }

    internal static async Task SpendAllAsync(JobsWorld world)
    {
        foreach (var _ in Enumerable.Range(0, 2))
        {
            var outcome = await SendAsync(world);
            Assert.True(outcome is { JobId: not null, HeldUntil: null, Route.Lane: Lane.Async }, $"{outcome.Route?.Lane} {outcome.Problem?.Message}");
        }
    }

    internal static Task<InferenceOutcome> SendAsync(JobsWorld world, double deadlineSeconds = 7_200, Delivery delivery = Delivery.Either) =>
        world.Services.GetRequiredService<IDispatcher>().InvokeAsync(Request(deadlineSeconds, delivery), TestContext.Current.CancellationToken);

    private static InferenceRequest Request(double deadlineSeconds, Delivery delivery) => new()
    {
        Tenant = JobsWorld.Acme,
        Model = JobsWorld.Chat,
        Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}"""u8.ToArray(),
        Deadline = TimeSpan.FromSeconds(deadlineSeconds),
        Delivery = delivery,
    };

    private static async Task<JobView> ViewOfAsync(JobsWorld world, InferenceOutcome outcome)
    {
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        return (await world.Jobs.GetAsync(JobsWorld.Acme, outcome.JobId, TimeSpan.Zero, CancellationToken.None))!;
    }

    private static async Task EndsByItselfAsync(JobsWorld world, InferenceOutcome outcome, JobState state)
    {
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Audit.Records.Any(record => record.Request.EndsWith(outcome.JobId!, StringComparison.Ordinal))), $"job {outcome.JobId} has ended");
        var view = await world.EndOfAsync(outcome.JobId!);
        Assert.True(view.State == state, $"{view.State}: {view.Problem?.Message}");
    }

    private static async Task RequireNeverOverspentAsync(JobsWorld world, int jobs)
    {
        Assert.Equal(Price * jobs, await world.RequireLedgerAndAuditAgreeAsync(jobs));
        var records = world.Audit.Records.DistinctBy(record => record.Request).ToList();
        Assert.All(records, last =>
        {
            var inWindow = records.Where(record => record.ReservedAt <= last.ReservedAt && record.ReservedAt > last.ReservedAt - (WindowSeconds * 1000L));
            Assert.True(inWindow.Aggregate(Money.Zero, (sum, record) => sum + record.Charge) <= Limit);
        });
    }
}
