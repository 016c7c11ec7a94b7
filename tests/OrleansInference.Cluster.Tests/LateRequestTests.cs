using OrleansInference.Invocation;

namespace OrleansInference.Tests;

/// <summary>Requests whose caller or deadline is gone before, while or after their call runs; and what others see of it.</summary>
public sealed class LateRequestTests
{
    private static readonly TimeSpan LongService = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task What_nobody_waits_for_any_more_is_not_sent_and_not_charged()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None), static outcome => outcome.IsAnswer);
        var (calls, charged) = (world.Aws.Calls, world.Audit.Sums[SampleCatalog.Poor].Charged);

        using var gone = new CancellationTokenSource();
        await gone.CancelAsync();
        var outcome = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), gone.Token);

        Assert.Equal(ProblemCode.Cancelled, outcome.Problem!.Code);
        Assert.Equal((calls, charged), (world.Aws.Calls, world.Audit.Sums[SampleCatalog.Poor].Charged));
    }

    [Fact]
    public async Task A_request_waits_for_money_no_longer_than_until_its_deadline_and_is_then_neither_sent_nor_charged()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", 100)));
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None), static outcome => outcome.IsAnswer);

        // The money does not come before all have ended: who waited for it would not end.
        var money = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        world.RefillHold = grain => grain.Contains("Tenant", StringComparison.Ordinal) ? money.Task : Task.CompletedTask;
        InferenceOutcome[] outcomes;
        try
        {
            outcomes = await Task.WhenAll(Enumerable.Range(0, 150).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, 5), CancellationToken.None))).WaitAsync(Patience);
        }
        finally
        {
            money.SetResult();
        }

        var late = outcomes.Where(static outcome => !outcome.IsAnswer).ToArray();
        Assert.NotEmpty(late);
        Assert.All(late, static outcome => Assert.Equal(Money.Zero, outcome.Route?.Charge ?? Money.Zero));
        Assert.DoesNotContain(late, static outcome => outcome.Problem!.Code == ProblemCode.DeadlineExceeded);
    }

    [Fact]
    public async Task The_short_deadlines_of_one_tenant_do_not_make_the_model_look_quick_to_another()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        var catalog = SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", 50));
        await world.ApplyAsync(catalog with { Tenants = [catalog.Tenants[0], catalog.Tenants[1] with { BestEffort = true }] });
        var dispatcher = world.Dispatchers()[0];
        world.Aws.Service = LongService;
        while (world.Aws.Calls < 100)
        {
            // On a slow machine not every one of them is sent before its deadline.
            await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, 0.1), CancellationToken.None)));
        }

        // Nobody waited for the answers, and they are measured all the same.
        await RouterCluster.EventuallyAsync(
            async () => (await dispatcher.ExplainAsync(SampleCatalog.Request(SampleCatalog.Rich, 0.3), CancellationToken.None)).Explanation!.Candidates[0],
            static candidate => candidate is { ServiceSeconds: > 0.8, ProbabilityInTime: <= 0.2 });
    }

    [Fact]
    public async Task A_call_that_nobody_waits_for_has_its_slot_until_the_model_is_done()
    {
        await using var world = await RouterCluster.StartAsync();
        const int slots = 4;
        var catalog = SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", slots / 2));
        await world.ApplyAsync(catalog with { Tenants = [catalog.Tenants[0] with { BestEffort = true }] });
        var dispatchers = world.Dispatchers();
        foreach (var dispatcher in dispatchers)
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        world.Aws.Service = LongService;
        var random = new Random(1);
        var requests = Enumerable.Range(0, 60).Select(async i =>
        {
            await Task.Delay(i * 30);
            using var givesUp = new CancellationTokenSource(TimeSpan.FromMilliseconds(random.Next(50, 800)));
            var dispatcher = dispatchers[i % dispatchers.Count];
            if (i % 3 == 0)
            {
                await using var answer = await dispatcher.InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Rich), givesUp.Token);
            }
            else
            {
                await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich, i % 3 == 1 ? 0.3 : 30), givesUp.Token);
            }
        });
        await Task.WhenAll(requests);
        Assert.InRange(world.Aws.MostInFlight("chat-rt"), 2, slots);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("chat-rt")), static inFlight => inFlight == 0);

        // Every slot is there again.
        world.Aws.Service = TimeSpan.FromMilliseconds(5);
        await RouterCluster.EventuallyAsync(
            () => Task.WhenAll(Enumerable.Range(0, 2 * slots).Select(i => dispatchers[i % dispatchers.Count].InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None))),
            static outcomes => outcomes.All(static outcome => outcome.IsAnswer));
    }

    [Fact]
    public async Task The_decision_that_is_kept_is_the_one_that_was_served()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("first", 500), SampleCatalog.Endpoint("second", 500)));
        var dispatcher = world.Dispatchers()[0];
        world.Aws.Failure = static call => call.EndpointName == "first" ? new ModelCallException(ModelCallFailure.Throttled, "slow down") { NotSent = true } : null;
        var kept = 0;
        for (var round = 0; round < 3; round++)
        {
            var outcomes = await Task.WhenAll(Enumerable.Range(0, 600).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)));
            foreach (var route in outcomes.Where(static outcome => outcome.IsAnswer).Select(static outcome => outcome.Route!))
            {
                if (dispatcher.GetDecision(SampleCatalog.Rich, route.DecisionId) is { } explanation)
                {
                    kept++;
                    Assert.Equal(route.Endpoint, explanation.Candidates.Single(static candidate => candidate.Chosen).Endpoint);
                }
            }
        }

        Assert.True(kept > 100);
    }

    [Fact]
    public async Task A_call_of_an_endpoint_that_was_replaced_meanwhile_goes_on_to_its_successor()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("old")));
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        var gate = new TaskCompletionSource();
        world.Aws.Hold = call => call.EndpointName == "old" ? gate.Task : Task.CompletedTask;
        var running = dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("new")));
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.Route?.Endpoint.Value == "new");
        gate.SetException(new ModelCallException(ModelCallFailure.Unavailable, "endpoint old is gone") { NotSent = true });

        var outcome = await running;

        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.Equal("new", outcome.Route!.Endpoint.Value);
    }

    [Fact]
    public async Task Who_waits_for_an_endpoint_that_is_removed_goes_on_to_its_successor()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("old", concurrency: 1)));
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        var gate = new TaskCompletionSource();
        world.Aws.Hold = call => call.EndpointName == "old" ? gate.Task : Task.CompletedTask;
        var running = Enumerable.Range(0, 5).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich, 60), CancellationToken.None)).ToArray();
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("old")), static inFlight => inFlight == 2);

        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("new")));

        await RouterCluster.EventuallyAsync(() => Task.FromResult(running.Count(static one => one.IsCompleted)), static ended => ended == 3);
        gate.SetResult();
        var outcomes = await Task.WhenAll(running);
        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
        Assert.Equal(3, outcomes.Count(static outcome => outcome.Route!.Endpoint.Value == "new"));
    }

    [Fact]
    public async Task An_answer_does_not_wait_for_the_slot_of_a_second_try()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1, options: static options => (options.HedgeQuantile, options.MaxHedgeShare) = (0.5, 0.5));
        var dear = SampleCatalog.Endpoint("second") with { Tariff = new() { PerRequest = Money.FromDollars(0.002m) } };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("first"), dear));
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        var slot = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        world.RefillHold = grain => grain.Contains("second", StringComparison.Ordinal) ? slot.Task : Task.CompletedTask;
        world.Aws.Hold = static call => call.EndpointName == "first" ? Task.Delay(180) : Task.CompletedTask;
        try
        {
            // The slot does not come before the answer: who waited for it would not end.
            await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich, 0.25), CancellationToken.None).WaitAsync(Patience);
        }
        finally
        {
            slot.SetResult();
        }
    }
}
