using Microsoft.Extensions.Time.Testing;
using OrleansInference.Audit;
using OrleansInference.Invocation;
using OrleansInference.Oracles;

namespace OrleansInference.Tests;

/// <summary>A second try beside a first that takes too long: one answer, one charge, and every slot and dollar comes back.</summary>
public sealed class HedgingTests
{
    private const double Deadline = 20;

    // A second try comes five seconds after the first was sent, and is made only while it has twelve until the deadline.
    private const double UntilHedged = 7;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task The_other_endpoint_answers_and_one_charge_is_made()
    {
        await using var world = await StartAsync();
        var release = HoldTheFirst(world);
        var asked = AskAsync(world);
        await HedgeAsync(world, 1, () => asked.IsCompleted);
        var outcome = await asked;
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.Equal(2, world.Aws.Calls);
        Assert.EndsWith("-hedge", outcome.Route!.DecisionId, StringComparison.Ordinal);
        var slow = Assert.Single(Names, name => world.Aws.InFlight(name) == 1);
        Assert.NotEqual(slow, outcome.Route.Endpoint.Value);
        Assert.NotNull(world.Dispatchers()[0].GetDecision(SampleCatalog.Poor, outcome.Route.DecisionId));

        // The call that nobody waits for keeps its slot until it has ended.
        var settled = Assert.Single(world.Audit.Records);
        Assert.Equal(AuditKind.Settle, settled.Kind);
        release.SetResult();
        var records = await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Audit.Records), static records => records.Count == 2);
        Assert.Equal(AuditKind.Release, records[1].Kind);
        Assert.Equal(records[0].Request, records[1].Request);
        Assert.Empty(ChargeOracle.Examine(records));
        Assert.Equal(outcome.Route.Charge, records[0].Charge);
        await NothingIsHeldAsync(world, outcome.Route.Charge);
    }

    [Fact]
    public async Task The_first_may_still_be_the_one_that_answers()
    {
        await using var world = await StartAsync();
        var calls = 0;
        var (first, second) = (new TaskCompletionSource(), new TaskCompletionSource());
        var hedged = new TaskCompletionSource();
        world.Aws.Hold = _ =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                return first.Task;
            }

            hedged.TrySetResult();
            return second.Task;
        };
        var asked = AskAsync(world);
        await HedgeAsync(world, 1, () => hedged.Task.IsCompleted);
        first.SetResult();
        var outcome = await asked.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.DoesNotContain("hedge", outcome.Route!.DecisionId, StringComparison.Ordinal);
        second.SetResult();
        var records = await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Audit.Records), static records => records.Count == 2);
        Assert.Empty(ChargeOracle.Examine(records));
        await NothingIsHeldAsync(world, outcome.Route.Charge);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task When_one_fails_the_other_decides_and_when_both_do_one_is_charged(bool bothFail)
    {
        await using var world = await StartAsync();
        var failure = new ModelCallException(ModelCallFailure.Model, "the model broke");
        var calls = 0;
        var hedged = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        world.Aws.Hold = async _ =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                await hedged.Task;
                throw failure;
            }

            hedged.TrySetResult();
            await release.Task;
            if (bothFail)
            {
                throw failure;
            }
        };
        var asked = AskAsync(world);
        await HedgeAsync(world, 1, () => world.Audit.Records.Count == 1);
        Assert.Equal(Money.Zero, world.Audit.Records[0].Charge);
        release.SetResult();
        var outcome = await asked.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.Equal(bothFail ? ProblemCode.ModelError : null, outcome.Problem?.Code);
        var records = await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Audit.Records), static records => records.Count == 2);
        Assert.True(records[1].Charge > Money.Zero);
        Assert.Empty(ChargeOracle.Examine(records));
        await NothingIsHeldAsync(world, records[1].Charge);
    }

    [Fact]
    public async Task Off_by_default_and_never_for_streams_keys_or_without_a_free_slot()
    {
        await using (var plain = await StartAsync(quantile: 0))
        {
            HoldTheFirst(plain);
            Assert.Equal(ProblemCode.DeadlineExceeded, (await UntilItsDeadlineAsync(plain, 1, AskAsync(plain)))[0].Problem?.Code);
            Assert.Equal(1, plain.Aws.Calls);
        }

        await using var world = await StartAsync();
        var release = HoldTheFirst(world);
        Assert.Equal(ProblemCode.DeadlineExceeded, (await UntilItsDeadlineAsync(world, 1, AskAsync(world, "key")))[0].Problem?.Code);
        Assert.Equal(1, world.Aws.Calls);
        await using (var stream = await world.Dispatchers()[0].InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor, Deadline), TestContext.Current.CancellationToken))
        {
            Assert.Null(stream.Problem);
        }

        Assert.Equal(2, world.Aws.Calls);

        // Every slot of one endpoint at least is taken: those who wait there go to the other.
        release.SetResult();
        var all = new TaskCompletionSource();
        world.Aws.Hold = _ => all.Task;
        var crowd = Enumerable.Range(0, 2 * Slots).Select(_ => AskAsync(world)).ToArray();
        Assert.All(await UntilItsDeadlineAsync(world, 2 + Slots, crowd), static outcome => Assert.True(outcome.Problem?.Code is ProblemCode.DeadlineExceeded or ProblemCode.Throttled));
        Assert.InRange(world.Aws.Calls, 2 + Slots, 2 + (2 * Slots));
        Assert.All(Names, name => Assert.InRange(world.Aws.MostInFlight(name), 0, Slots));
    }

    [Fact]
    public async Task No_more_than_the_share_of_calls_is_tried_twice()
    {
        await using var world = await StartAsync(share: 0, concurrency: 40);
        var all = new TaskCompletionSource();
        world.Aws.Hold = _ => all.Task;
        var crowd = Enumerable.Range(0, 30).Select(_ => AskAsync(world)).ToArray();
        await HedgeAsync(world, crowd.Length, () => world.Aws.Calls > crowd.Length);
        await UntilItsDeadlineAsync(world, crowd.Length, crowd);
        Assert.InRange(world.Aws.Calls, 31, 40);
        Assert.Empty(ChargeOracle.Examine(world.Audit.Records));
    }

    private const int Slots = 4;
    private static readonly string[] Names = ["one", "two"];

    private static async Task<RouterCluster> StartAsync(double quantile = 0.5, double share = 1, int concurrency = Slots / 2)
    {
        var world = await RouterCluster.StartAsync(silos: 1, clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)), options: options => (options.HedgeQuantile, options.MaxHedgeShare) = (quantile, share));
        var prior = new LatencyPrior { ServiceP50Seconds = 2, ServiceP99Seconds = 12, ColdStartSeconds = 10 };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(1), [.. Names.Select(name => SampleCatalog.Endpoint(name, concurrency) with { Prior = prior, MaxServiceSeconds = 60 })]));
        await RouterCluster.EventuallyAsync(
            () => Task.WhenAll(Names.Select(name => world.Grains.GetGrain<IEndpointGrain>(name).GetView())),
            static views => views.All(static view => view?.Status.Slots > 0));
        await RouterCluster.EventuallyAsync(
            async () => await world.Dispatchers()[0].ExplainAsync(SampleCatalog.Request(SampleCatalog.Poor, Deadline), TestContext.Current.CancellationToken),
            static dry => dry.Explanation?.Candidates.All(static candidate => candidate.ProbabilityInTime > 0.99) == true);
        return world;
    }

    /// <summary>Once the first tries are made, time passes until it holds; at most as much as leaves enough for the second.</summary>
    private static async Task HedgeAsync(RouterCluster world, int calls, Func<bool> holds)
    {
        await SentAsync(world, calls);
        await world.PassAsync(UntilHedged, holds);
    }

    private static async Task<InferenceOutcome[]> UntilItsDeadlineAsync(RouterCluster world, int calls, params Task<InferenceOutcome>[] asked)
    {
        await SentAsync(world, calls);
        await world.PassAsync(2 * Deadline, () => asked.All(static one => one.IsCompleted));
        return await Task.WhenAll(asked);
    }

    private static Task<int> SentAsync(RouterCluster world, int calls) =>
        RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), made => made >= calls);

    private static TaskCompletionSource HoldTheFirst(RouterCluster world)
    {
        var release = new TaskCompletionSource();
        var calls = 0;
        world.Aws.Hold = _ => Interlocked.Increment(ref calls) == 1 ? release.Task : Task.CompletedTask;
        return release;
    }

    private static Task<InferenceOutcome> AskAsync(RouterCluster world, string? key = null) =>
        world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, Deadline) with { IdempotencyKey = key }, TestContext.Current.CancellationToken);

    private static async Task NothingIsHeldAsync(RouterCluster world, Money charged)
    {
        Assert.All(Names, name => Assert.Equal(0, world.Aws.InFlight(name)));
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                world.Pass(seconds: 1);
                await world.BeatAsync();
                return await world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget();
            },
            budget => budget.SettledTotal == charged && budget.Leases.All(static lease => lease.Pending == Money.Zero));
    }
}
