using Microsoft.Extensions.Time.Testing;
using OrleansInference.Audit;
using OrleansInference.Hosting;
using OrleansInference.Idempotency;
using OrleansInference.Invocation;
using OrleansInference.Jobs;

namespace OrleansInference.Tests;

public sealed class IdempotencyTests
{
    private static readonly Money Price = Money.FromDollars(0.001m);
    private static readonly InferenceRequest Keyed = SampleCatalog.Request(SampleCatalog.Poor) with { IdempotencyKey = "order-7" };

    [Fact]
    public async Task A_repetition_on_any_silo_gets_the_same_answer_decision_and_charge_of_one_call()
    {
        await using var world = await StartAsync();
        List<InferenceOutcome> outcomes = [];
        foreach (var dispatcher in world.Dispatchers().Concat(world.Dispatchers()))
        {
            outcomes.Add(await dispatcher.InvokeAsync(Keyed, CancellationToken.None));
        }

        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
        Assert.Equal(Lane.Realtime, outcomes[0].Route!.Lane);
        Assert.Equal([false, true, true, true, true, true], outcomes.Select(static outcome => outcome.IsReplay));
        Assert.Single(outcomes.Select(static outcome => outcome.Route).Distinct());
        Assert.Single(outcomes.Select(static outcome => Convert.ToHexString(outcome.Body.Span) + outcome.ContentType + outcome.CustomAttributes).Distinct());
        Assert.Equal(1, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task The_key_with_another_body_or_model_is_refused_and_another_tenants_key_is_another()
    {
        await using var world = await StartAsync(silos: 1);
        var dispatcher = world.Dispatchers()[0];
        Assert.True((await dispatcher.InvokeAsync(Keyed, CancellationToken.None)).IsAnswer);
        var conflict = await dispatcher.InvokeAsync(Keyed with { Body = "{\"inputs\":\"else\"}"u8.ToArray() }, CancellationToken.None);
        Assert.Equal(ProblemCode.IdempotencyConflict, conflict.Problem?.Code);
        var other = await dispatcher.InvokeAsync(Keyed with { Tenant = SampleCatalog.Rich, Body = "{\"inputs\":\"else\"}"u8.ToArray() }, CancellationToken.None);
        Assert.True(other is { IsAnswer: true, IsReplay: false }, other.Problem?.Message);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task Of_many_at_once_one_is_run_and_all_get_its_answer()
    {
        await using var world = await StartAsync();
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var all = world.Dispatchers().SelectMany(dispatcher => Enumerable.Range(0, 4).Select(_ => dispatcher.InvokeAsync(Keyed, CancellationToken.None))).ToList();
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 1);
        gate.SetResult();
        var outcomes = await Task.WhenAll(all);
        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
        Assert.Single(outcomes, static outcome => !outcome.IsReplay);
        Assert.Single(outcomes.Select(static outcome => outcome.Route!.DecisionId).Distinct());
        Assert.Equal(1, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task A_repetition_whose_own_deadline_passes_first_is_told_to_come_back()
    {
        await using var world = await StartAsync(silos: 1);
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var first = world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 1);
        var second = await world.Dispatchers()[0].InvokeAsync(Keyed with { Deadline = TimeSpan.FromMilliseconds(300) }, CancellationToken.None);
        Assert.Equal(ProblemCode.RequestInProgress, second.Problem?.Code);
        Assert.NotNull(second.Problem!.RetryAfter);
        gate.SetResult();
        Assert.True((await first).IsAnswer);
    }

    [Fact]
    public async Task What_was_charged_is_final_and_what_was_not_is_run_again()
    {
        await using var world = await StartAsync(silos: 1);
        var dispatcher = world.Dispatchers()[0];
        world.Aws.Failure = static _ => new ModelCallException(ModelCallFailure.Throttled, "slow down") { NotSent = true };
        Assert.Equal(ProblemCode.Throttled, (await dispatcher.InvokeAsync(Keyed, CancellationToken.None)).Problem?.Code);
        var released = Assert.Single(world.Audit.Records);
        Assert.Equal((AuditKind.Release, Money.Zero, ProblemCode.Throttled), (released.Kind, released.Charge, released.Problem));

        world.Aws.Failure = static _ => new ModelCallException(ModelCallFailure.Model, "bad input");
        var failed = await dispatcher.InvokeAsync(Keyed, CancellationToken.None);
        Assert.Equal((ProblemCode.ModelError, false), (failed.Problem!.Code, failed.IsReplay));

        world.Aws.Failure = static _ => null;
        var repeated = await dispatcher.InvokeAsync(Keyed, CancellationToken.None);
        Assert.Equal(failed with { IsReplay = true }, repeated);
        Assert.Equal(2, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task A_caller_that_gives_up_finds_the_answer_when_it_repeats()
    {
        await using var world = await StartAsync();
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        using var caller = new CancellationTokenSource();
        var first = world.Dispatchers()[0].InvokeAsync(Keyed, caller.Token);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 1);
        await caller.CancelAsync();
        Assert.Equal(ProblemCode.Cancelled, (await first).Problem?.Code);
        var second = world.Dispatchers()[1].InvokeAsync(Keyed, CancellationToken.None);
        gate.SetResult();
        Assert.True((await second) is { IsAnswer: true, IsReplay: true });
        Assert.Equal(1, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task When_the_silo_that_ran_it_dies_a_repetition_runs_again_and_is_the_one_that_is_charged()
    {
        await using var world = await StartAsync();
        world.Aws.Gate = new TaskCompletionSource().Task;
        var doomed = world.Cluster.SecondarySilos[0];
        _ = world.Dispatcher(doomed).InvokeAsync(Keyed, CancellationToken.None);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 1);
        world.Aws.Gate = Task.CompletedTask;
        var reserved = (await BudgetAsync(world)).Reserved;
        await world.Cluster.KillSiloAsync(doomed);
        var outcome = await RouterCluster.EventuallyAsync(() => world.Dispatcher(world.Cluster.Primary!).InvokeAsync(Keyed, CancellationToken.None), static outcome => outcome.Problem is null);
        Assert.True(outcome is { IsAnswer: true }, outcome.Problem?.Message);
        Assert.Equal(2, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
        Assert.True((await BudgetAsync(world)).Reserved < reserved);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(200_000)]
    public async Task An_answer_of_any_size_outlives_every_silo(int bytes)
    {
        await using var world = await StartAsync();
        world.Aws.Answer = [.. Enumerable.Range(0, bytes).Select(static i => (byte)i)];
        var first = await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        Assert.True(first.IsAnswer, first.Problem?.Message);
        await world.RestartAsync();
        var again = await RouterCluster.EventuallyAsync(() => world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None), static outcome => outcome.Problem is null);
        Assert.True(again.IsReplay);
        Assert.Equal(world.Aws.Answer, again.Body.ToArray());
        Assert.Equal(first.Route, again.Route);
        Assert.Equal(1, world.Aws.Calls);
    }

    [Fact]
    public async Task A_key_is_forgotten_when_its_retention_is_over()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await StartAsync(silos: 1, clock: new(time), retention: TimeSpan.FromSeconds(60));
        Assert.True((await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None)).IsAnswer);
        Assert.True((await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None)).IsReplay);

        // What the reminder does when it comes: nothing before the retention is over.
        var key = world.Grains.GetGrain<IIdempotencyGrain>(new JobAddress(SampleCatalog.Poor, JobAddress.IdOf(SampleCatalog.Poor, Keyed.IdempotencyKey!)).Key).AsReference<IRemindable>();
        time.Advance(TimeSpan.FromSeconds(59));
        await key.ReceiveReminder("key", default);
        Assert.True((await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None)).IsReplay);
        time.Advance(TimeSpan.FromSeconds(1));
        await key.ReceiveReminder("key", default);
        var outcome = await RouterCluster.EventuallyAsync(() => world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None), static outcome => outcome.IsAnswer);
        Assert.False(outcome.IsReplay);
        Assert.Equal(2, world.Aws.Calls);
    }

    [Fact]
    public async Task An_outcome_that_could_not_be_stored_is_not_charged_and_the_repetition_is()
    {
        await using var world = await StartAsync(silos: 1);
        world.Conflicts.OnNextWrite<StoredKey>("key", static key => key.Record?.Outcome is not null);
        var first = await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        Assert.Equal(1, world.Conflicts.Conflicts);

        // Stating it again may have succeeded on the new activation; if not, the repetition runs.
        var outcome = first.IsAnswer ? first : await RouterCluster.EventuallyAsync(() => world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None), static outcome => outcome.Problem is null);
        Assert.True(outcome.IsAnswer);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task A_key_that_could_not_be_given_up_at_once_is_free_all_the_same()
    {
        await using var world = await StartAsync(silos: 1);
        world.Aws.Failure = static _ => new ModelCallException(ModelCallFailure.Throttled, "slow down") { NotSent = true };
        world.Conflicts.OnNextWrite<StoredKey>("key", static key => key.Record is { ClaimUntil: 0 });
        Assert.Equal(ProblemCode.Throttled, (await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None)).Problem?.Code);
        Assert.Equal(1, world.Conflicts.Conflicts);
        world.Aws.Failure = static _ => null;
        var again = await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        Assert.True(again is { IsAnswer: true, IsReplay: false }, again.Problem?.Message);
        await RequireOneChargeAsync(world, Price);
    }

    [Fact]
    public async Task When_no_try_to_state_an_outcome_is_confirmed_the_audit_log_equals_the_ledger_all_the_same()
    {
        await using var world = await StartAsync(silos: 1);
        world.Conflicts.OnNextWrite<StoredKey>("key", static key => key.Record?.Outcome is not null, WriteFate.StoredThenDown);
        var first = await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        Assert.Equal(ProblemCode.Unavailable, first.Problem?.Code);
        world.Conflicts.Recover("key");
        var again = await RouterCluster.EventuallyAsync(() => world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None), static outcome => outcome.Problem is null);
        Assert.True(again is { IsAnswer: true, IsReplay: true });
        Assert.Equal(1, world.Aws.Calls);
        await RequireOneChargeAsync(world, Price);
        Assert.Single(world.Audit.Records);
    }

    [Fact]
    public async Task A_confirmation_that_is_lost_once_leaves_one_record_of_one_charge()
    {
        await using var world = await StartAsync(silos: 1);
        world.Conflicts.OnNextWrite<StoredKey>("key", static key => key.Record?.Outcome is not null, WriteFate.Stored);
        var outcome = await world.Dispatchers()[0].InvokeAsync(Keyed, CancellationToken.None);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.Equal(1, world.Conflicts.Conflicts);
        await RequireOneChargeAsync(world, Price);
        Assert.Single(world.Audit.Records);
    }

    [Fact]
    public async Task A_streamed_request_takes_no_key_and_says_so()
    {
        await using var world = await StartAsync(silos: 1);
        await using var answer = await world.Dispatchers()[0].InvokeStreamAsync(Keyed, CancellationToken.None);
        Assert.Equal(ProblemCode.InvalidRequest, answer.Problem?.Code);
        Assert.Contains("idempotency key", answer.Problem!.Message, StringComparison.Ordinal);
    }

    private static async Task<RouterCluster> StartAsync(short silos = 3, RouterClock? clock = null, TimeSpan? retention = null)
    {
        var world = await RouterCluster.StartAsync(silos, clock: clock, options: options => options.JobRetention = retention ?? options.JobRetention);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        return world;
    }

    private static Task<BudgetView> BudgetAsync(RouterCluster world) => world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget();

    private static async Task RequireOneChargeAsync(RouterCluster world, Money charge)
    {
        // A repetition sees the outcome as soon as it is stored, a moment before the silo that ran it writes its record.
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Audit.Records.Any(record => record.Tenant == SampleCatalog.Poor && record.Charge > Money.Zero)), static isWritten => isWritten);
        Assert.Equal(charge, world.Audit.Sums[SampleCatalog.Poor].Charged);
        await RouterCluster.EventuallyAsync(() => BudgetAsync(world), budget => budget.SettledTotal == charge);
    }
}
