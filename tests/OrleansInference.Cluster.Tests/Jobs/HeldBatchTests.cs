using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Batch;

namespace OrleansInference.Tests.Jobs;

/// <summary>Batches that the budget does not cover now, of a tenant who has them held: they wait in line with its jobs.</summary>
public sealed class HeldBatchTests
{
    private const int Records = 5;
    private const string Rest = "all there is";

    // What blocks the budget is back by then at the latest, long after any test is over.
    private const long BlockedMs = 36_000_000;
    private const double DeadlineSeconds = 72_000;

    private static readonly Money Limit = Money.FromDollars(1);
    private static readonly Money Price = Money.FromNanos(1_007);

    [Fact]
    public async Task A_held_batch_runs_when_its_money_frees_and_is_charged_once()
    {
        await using var world = await StartAsync();
        await BlockAsync(world);
        var held = await SubmitAsync(world);
        Assert.NotNull(held.HeldUntil);
        var view = (await GetAsync(world, held))!;
        Assert.Equal((JobState.Accepted, held.HeldUntil, 0, 0), (view.State, view.HeldUntil, view.Done, view.TransformJobs));
        Assert.Equal(Limit, (await world.BudgetAsync()).Reserved);

        // Nobody asks: the ledger tells it.
        await TenantOf(world).Settle(Rest, Money.Zero);
        var end = await EndOfAsync(world, held, JobState.Succeeded);
        Assert.Equal((Records, null, Price * Records), (end.Done, end.HeldUntil, end.Route.Charge));
        Assert.Equal(Records, world.Aws.InvocationCounts["bulk"].Completed);
        Assert.Equal(Price * Records, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_held_batch_outlives_every_silo_and_a_repeated_key_finds_it()
    {
        await using var world = await StartAsync();
        await BlockAsync(world);
        var held = await SubmitAsync(world, key: "nightly");
        Assert.NotNull(held.HeldUntil);
        await world.RestartClusterAsync();
        var again = await SubmitAsync(world, key: "nightly");
        Assert.Equal((held.JobId, true), (again.JobId, again.HeldUntil is not null));
        await TenantOf(world).Settle(Rest, Money.Zero);
        await EndOfAsync(world, held, JobState.Succeeded);
        Assert.Equal(Records, world.Aws.InvocationCounts["bulk"].Completed);
        Assert.Equal(Price * Records, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task A_batch_whose_way_into_the_line_failed_is_not_told_to_be_held_before_it_is_stored_so()
    {
        await using var world = await StartAsync();
        await BlockAsync(world);
        var failing = 1;
        world.CallFault = method => method == nameof(ITenantGrain.Hold) && Interlocked.Decrement(ref failing) >= 0 ? new TimeoutException("The ledger does not answer.") : null;
        var held = await SubmitAsync(world);
        Assert.NotNull(held.HeldUntil);
        Assert.True(failing < 0);
        Assert.NotNull((await GetAsync(world, held))?.HeldUntil);
        await world.RestartClusterAsync();
        await TenantOf(world).Settle(Rest, Money.Zero);
        await EndOfAsync(world, held, JobState.Succeeded);
        Assert.Equal(Price * Records, await world.RequireLedgerAndAuditAgreeAsync(jobs: 1));
    }

    [Fact]
    public async Task Held_batches_and_jobs_get_the_money_that_frees_by_their_deadlines()
    {
        await using var world = await StartAsync();
        await BlockAsync(world);
        var late = await SubmitAsync(world);
        var job = await world.SubmitAsync("""{"inputs":"r"}""", "chat-async", deadlineSeconds: DeadlineSeconds - 10_000, cap: late.Route!.ChargeCap, mayHold: true);
        var early = await SubmitAsync(world, deadlineSeconds: DeadlineSeconds - 20_000);
        Assert.All((InferenceOutcome[])[late, job, early], static outcome => Assert.True(outcome.HeldUntil is not null, outcome.Problem?.Message));

        // Enough for two of them; what they leave of it is too little for a third.
        await TenantOf(world).Settle(Rest, Limit - (late.Route.ChargeCap * 2));
        await EndOfAsync(world, early, JobState.Succeeded);
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(job.JobId!)).State);
        Assert.NotNull((await GetAsync(world, late))!.HeldUntil);
        Assert.Equal(Records, world.Aws.InvocationCounts["bulk"].Completed);
    }

    [Fact]
    public async Task A_cancelled_held_batch_costs_nothing_leaves_nothing_and_makes_room()
    {
        await using var world = await StartAsync(maxHeldJobs: 1, retention: TimeSpan.FromSeconds(1_200));
        await BlockAsync(world);
        var first = await SubmitAsync(world);
        Assert.NotNull(first.HeldUntil);

        // As many are held as may be: the next is refused, and nothing is kept of it.
        var objects = (await world.ObjectsAsync("batches/")).Order();
        var second = await SubmitAsync(world);
        Assert.Equal((null, ProblemCode.BudgetExhausted), (second.JobId, second.Problem?.Code));
        Assert.Contains("1 jobs are held", second.Problem!.Message, StringComparison.Ordinal);
        Assert.NotNull(second.Problem.RetryAfter);
        Assert.Equal(objects, (await world.ObjectsAsync("batches/")).Order());

        await Batches(world).CancelAsync(JobsWorld.Acme, first.JobId!, CancellationToken.None);
        var end = await EndOfAsync(world, first, JobState.Cancelled);
        Assert.Equal((0, Records, 0, Money.Zero, null), (end.Done, end.Failed, end.TransformJobs, end.Route.Charge, end.HeldUntil));
        Assert.Equal(Money.Zero, Assert.Single(world.Audit.Records).Charge);
        await JobsWorld.UntilAsync(async () => (await world.ObjectsAsync("")).Count == 0, "every object is deleted");

        Assert.NotNull((await SubmitAsync(world)).HeldUntil);
        Assert.Equal(Limit, (await world.BudgetAsync()).Reserved);
    }

    [Fact]
    public async Task A_held_batch_whose_deadline_passes_before_its_money_comes_expires_with_nothing_charged()
    {
        await using var world = await StartAsync();
        Assert.True((await TenantOf(world).Reserve(Rest, Limit, world.Clock.Now + 1_500_000)).Granted);
        var held = await SubmitAsync(world, deadlineSeconds: 1_800);
        Assert.True(held.HeldUntil is not null, held.Problem?.Message);

        // The money that was to come back is spent instead.
        await TenantOf(world).Settle(Rest, Limit);
        var end = await EndOfAsync(world, held, JobState.Expired);
        Assert.Equal((0, 0, Money.Zero), (end.Done, end.TransformJobs, end.Route.Charge));
        Assert.Contains("held for the tenant's budget", end.Problem!.Message, StringComparison.Ordinal);
        var budget = await world.BudgetAsync();
        Assert.Equal((Limit, Money.Zero, Money.Zero), (budget.SettledTotal, budget.Reserved, budget.UnreportedTotal));
        Assert.Equal(Money.Zero, Assert.Single(world.Audit.Records).Charge);
    }

    [Fact]
    public async Task A_batch_whose_money_comes_too_late_is_refused_at_once_with_the_time_to_come_back()
    {
        await using var world = await StartAsync();
        await BlockAsync(world);
        var refused = await SubmitAsync(world, deadlineSeconds: 1_800);
        Assert.Equal((null, ProblemCode.BudgetExhausted), (refused.JobId, refused.Problem?.Code));
        Assert.InRange(refused.Problem!.RetryAfter!.Value.TotalSeconds, 1, BlockedMs / 1_000);
        Assert.Empty(await world.ObjectsAsync(""));
        Assert.Equal(Limit, (await world.BudgetAsync()).Reserved);
    }

    [Theory]
    [InlineData("Refuse", null, false)]
    [InlineData("Hold", "bulk", true)]
    [InlineData("CheaperLane,Hold", "bulk", true)]
    [InlineData("SmallerVariant,Refuse", "bulk-small", false)]
    [InlineData("SmallerVariant,Hold", "bulk-small", false)]
    public async Task The_tenant_s_own_order_decides_what_becomes_of_a_batch_of_which_one_record_is_covered_and_all_are_not(string order, string? endpoint, bool held)
    {
        await using var world = await StartAsync(order: order);
        Assert.True((await TenantOf(world).Reserve(Rest, Limit - (Price * (Records - 1)), world.Clock.Now + BlockedMs)).Granted);
        var outcome = await SubmitAsync(world);
        Assert.Equal(endpoint is null ? ProblemCode.BudgetExhausted : null, outcome.Problem?.Code);
        Assert.Equal((endpoint, held), (outcome.JobId is null ? null : outcome.Route?.Endpoint.Value, outcome.HeldUntil is not null));
    }

    private static async Task<JobsWorld> StartAsync(string order = "Hold", int? maxHeldJobs = null, TimeSpan? retention = null)
    {
        var model = JobsWorld.Catalog.Models[0];
        var full = model.Variants[0];
        var async = full.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-async");
        var bulk = full.Endpoints.Single(static endpoint => endpoint.Name.Value == "chat-batch") with { Name = new("bulk"), Tariff = new() { PerRequest = Price } };
        var world = await JobsWorld.StartAsync(maxHeldJobs: maxHeldJobs, retention: retention, catalog: JobsWorld.Catalog with
        {
            InstancePrices = JobsWorld.Catalog.InstancePrices.Add("ml.p4d.24xlarge", Money.FromDollars(37)),
            Tenants =
            [
                new()
                {
                    Id = JobsWorld.Acme,
                    Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Limit }],
                    LowBudget = [.. order.Split(',').Select(Enum.Parse<LowBudgetStep>)],
                },
            ],
            Models =
            [
                model with
                {
                    Variants =
                    [
                        full with { Quality = 1, Endpoints = [async with { Tariff = bulk.Tariff }, bulk] },

                        // So dear to the operator that nobody is served by it who need not be.
                        new() { Name = new("small"), Quality = 0.5, Endpoints = [bulk with { Name = new("bulk-small"), InstanceType = "ml.p4d.24xlarge", Tariff = new() { PerRequest = Money.FromNanos(10) } }] },
                    ],
                },
            ],
        });

        // From here on the silos know the model.
        Assert.Equal(ProblemCode.InvalidRequest, (await SubmitAsync(world, records: 0)).Problem?.Code);
        return world;
    }

    private static ITenantGrain TenantOf(JobsWorld world) => world.Grains.GetGrain<ITenantGrain>(JobsWorld.Acme.Value);

    private static async Task BlockAsync(JobsWorld world) =>
        Assert.True((await TenantOf(world).Reserve(Rest, Limit, world.Clock.Now + BlockedMs)).Granted);

    private static IBatches Batches(JobsWorld world) => world.Services.GetRequiredService<IBatches>();

    private static Task<BatchView?> GetAsync(JobsWorld world, InferenceOutcome outcome) => Batches(world).GetAsync(JobsWorld.Acme, outcome.JobId!, TimeSpan.Zero, CancellationToken.None);

    private static async Task<BatchView> EndOfAsync(JobsWorld world, InferenceOutcome outcome, JobState state)
    {
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        await JobsWorld.UntilAsync(
            () => Task.FromResult(world.Audit.Records.Any(record => record.Request.Contains(outcome.JobId, StringComparison.Ordinal))),
            $"batch {outcome.JobId} has ended");
        BatchView? view = null;
        await JobsWorld.UntilAsync(async () => (view = await GetAsync(world, outcome)) is { EndedAt: not null }, "its end is seen");
        Assert.True(view!.State == state, $"{view.State}: {view.Problem?.Message}");
        return view;
    }

    private static async Task<InferenceOutcome> SubmitAsync(JobsWorld world, double deadlineSeconds = DeadlineSeconds, string? key = null, int records = Records)
    {
        InferenceOutcome outcome = null!;
        await JobsWorld.UntilAsync(
            async () =>
            {
                using var lines = new MemoryStream(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"inputs\":\"r\",\"input_tokens\":30,\"output_tokens\":5}\n", records))));
                outcome = await Batches(world).SubmitAsync(
                    new() { Tenant = JobsWorld.Acme, Model = JobsWorld.Chat, IdempotencyKey = key, Deadline = TimeSpan.FromSeconds(deadlineSeconds) },
                    lines,
                    TestContext.Current.CancellationToken);
                return outcome.Problem?.Code is not (ProblemCode.UnknownModel or ProblemCode.Unavailable);
            },
            "the silos know the model");
        return outcome;
    }
}
