using OrleansInference.Dispatch;
using OrleansInference.Invocation;

namespace OrleansInference.Tests;

/// <summary>What the dispatcher makes of lanes that are cold, endpoints that fail, tenants whose limit changes, and callers who leave.</summary>
public sealed class DispatchTests
{
    private const int FailuresToOpen = 5;
    private static readonly Money Price = Money.FromDollars(0.001m);

    [Fact]
    public async Task A_cold_start_counts_in_the_quote_until_an_environment_is_warm()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        var serverless = SampleCatalog.Endpoint("chat-sl") with { Lane = Lane.Serverless, InstanceType = "", MemoryMb = 2048, MinInstances = 0, MaxInstances = 2, ConcurrencyPerInstance = 1, Streaming = false };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), serverless));
        var dispatcher = world.Dispatchers()[0];
        Assert.True(await MedianAsync(dispatcher) >= 5, "the cold start of ten seconds is not in the quote");
        var hurried = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 2), CancellationToken.None);
        Assert.Equal(ProblemCode.DeadlineUnreachable, hurried.Problem?.Code);
        Assert.Equal(0, world.Aws.Calls);

        var patient = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 120), CancellationToken.None);
        Assert.True(patient.IsAnswer, patient.Problem?.Message);
        Assert.True(await MedianAsync(dispatcher) < 5, "a warm environment is quoted as a cold one");

        static async Task<double> MedianAsync(IDispatcher dispatcher)
        {
            var dry = await dispatcher.ExplainAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 120), CancellationToken.None);
            return Assert.Single(dry.Explanation!.Candidates).P50Seconds;
        }
    }

    [Fact]
    public async Task Requests_that_are_turned_away_for_want_of_slots_are_told_to_the_endpoint_that_could_have_served_them()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1, localModels: true);
        var slow = SampleCatalog.Endpoint("chat-rt", concurrency: 1) with
        {
            MinInstances = 1,
            MaxInstances = 4,
            Scaling = ScalingMode.Recommend,
            Prior = new() { ServiceP50Seconds = 20, ServiceP99Seconds = 22, ColdStartSeconds = 300 },
            Simulation = new() { BaseSeconds = 10, DecodeTokensPerSecond = 0, StartSeconds = 0.5 },
        };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), slow));
        var grain = world.Grains.GetGrain<IEndpointGrain>("chat-rt");
        await RouterCluster.EventuallyAsync(() => grain.GetView(), static view => view?.Slots?.Offered == 1);
        var dispatcher = world.Dispatchers()[0];
        var first = dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 120), CancellationToken.None);
        await RouterCluster.EventuallyAsync(() => grain.GetView(), static view => view?.Slots?.InUse == 1);

        // But for a few by which it is found out whether the quotes are right.
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 25), CancellationToken.None)));
        Assert.True(outcomes.Count(static outcome => outcome.Problem?.Code == ProblemCode.DeadlineUnreachable) > 25, string.Join("; ", outcomes.GroupBy(static outcome => outcome.Problem?.Message ?? "answered").Select(static group => $"{group.Count()} {group.Key}")));

        // One call alone is a fifth of one a second at most.
        await RouterCluster.EventuallyAsync(() => grain.GetView(), static view => view?.Capacity?.ExpectedRate > 0.4);
        Assert.True((await first).IsAnswer);
    }

    [Fact]
    public async Task Jobs_that_are_turned_away_for_want_of_an_instance_start_one_and_are_no_backlog()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1, localModels: true);
        var slow = SampleCatalog.Endpoint("chat-async", concurrency: 1) with
        {
            Lane = Lane.Async,
            MinInstances = 0,
            MaxInstances = 4,
            Scaling = ScalingMode.Recommend,
            Streaming = false,
            Prior = new() { ServiceP50Seconds = 20, ServiceP99Seconds = 22, ColdStartSeconds = 300 },
        };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), slow));
        var grain = world.Grains.GetGrain<IEndpointGrain>("chat-async");
        await RouterCluster.EventuallyAsync(() => grain.GetView(), static view => view?.Capacity?.LeadSeconds > 0);
        var dispatcher = world.Dispatchers()[0];
        var request = SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 200) with { Class = TrafficClass.Medium };
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => dispatcher.SubmitAsync(request, CancellationToken.None)));
        Assert.All(outcomes, static outcome => Assert.Equal(ProblemCode.DeadlineUnreachable, outcome.Problem?.Code));
        var view = await RouterCluster.EventuallyAsync(() => grain.GetView(), static view => view?.Capacity?.Wanted > 0);
        Assert.True(view!.Capacity!.ExpectedRate > 0.1, $"{view.Capacity}");
        Assert.Equal(0, view.Status.Backlog);
    }

    [Fact]
    public async Task An_endpoint_that_keeps_failing_is_left_alone_then_probed_and_used_again()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("first"), SampleCatalog.Endpoint("second")));
        var dispatcher = world.Dispatchers()[0];
        var (calls, isHealed) = (0, false);
        world.Aws.Failure = call => call.EndpointName == "first" && Interlocked.Increment(ref calls) > 0 && !Volatile.Read(ref isHealed)
            ? new ModelCallException(ModelCallFailure.Unavailable, "gone")
            : null;
        var asked = 0;
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                asked++;
                var outcome = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
                Assert.Equal("second", outcome.Route!.Endpoint.Value);
                Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
                return Volatile.Read(ref calls);
            },
            static count => count >= FailuresToOpen);
        var dry = await dispatcher.ExplainAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.Equal("second", Assert.Single(dry.Explanation!.Candidates, static candidate => candidate.Chosen).Endpoint.Value);

        Volatile.Write(ref isHealed, true);
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                asked++;
                return await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
            },
            static outcome => outcome is { IsAnswer: true, Route.Endpoint.Value: "first" });
        Assert.Equal(Price * asked, world.Audit.Sums[SampleCatalog.Poor].Charged);
    }

    [Theory]
    [InlineData(ModelCallFailure.Unavailable)]
    [InlineData(ModelCallFailure.NotReady)]
    [InlineData(ModelCallFailure.Throttled)]
    public async Task A_failure_before_the_answer_began_goes_elsewhere_and_one_charge_is_taken(ModelCallFailure failure)
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("first"), SampleCatalog.Endpoint("second")));
        var calls = 0;
        world.Aws.Failure = _ => Interlocked.Increment(ref calls) == 1 ? new ModelCallException(failure, "not now") : null;
        var outcome = await world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.Equal(2, world.Aws.Calls);
        Assert.Equal([Money.Zero, Price], world.Audit.Records.Select(static record => record.Charge));
        Assert.Equal(2, world.Audit.Records.Select(static record => record.Endpoint).Distinct().Count());
        await RouterCluster.EventuallyAsync(world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget, static budget => budget.SettledTotal == Price);
    }

    [Fact]
    public async Task A_tenant_that_gets_a_limit_while_its_calls_are_in_flight_has_their_spend_counted_and_is_held_to_it()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var dispatcher = world.Dispatchers()[0];
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var running = Enumerable.Range(0, 3).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)).ToList();
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 3);

        // Less than what is in flight: nothing is left of it once that is counted.
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Rich.Value);
        await tenant.Configure(new() { Id = SampleCatalog.Rich, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Price * 2 }], LowBudget = [LowBudgetStep.Refuse] });
        gate.SetResult();
        Assert.All(await Task.WhenAll(running), static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
        await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.SettledTotal >= Price * 3);
        var refused = await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.Problem is not null);
        Assert.Equal(ProblemCode.BudgetExhausted, refused.Problem!.Code);
        Assert.Equal(ProblemCode.BudgetExhausted, (await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)).Problem?.Code);
        await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.SettledTotal == world.Audit.Sums[SampleCatalog.Rich].Charged);
    }
}
