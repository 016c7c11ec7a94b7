using Microsoft.Extensions.DependencyInjection;
using Orleans.TestingHost;
using OrleansInference.Audit;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

public sealed class RoutingTests
{
    [Fact]
    public async Task Every_silo_routes_and_the_ledger_agrees_with_the_audit_log_to_the_nano_dollar()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        foreach (var dispatcher in world.Dispatchers())
        {
            foreach (var tenant in (TenantId[])[SampleCatalog.Rich, SampleCatalog.Poor])
            {
                var outcome = await dispatcher.InvokeAsync(SampleCatalog.Request(tenant), CancellationToken.None);
                Assert.Null(outcome.Problem);
                Assert.Equal(Lane.Realtime, outcome.Route!.Lane);
                Assert.Equal(Money.FromDollars(0.001m), outcome.Route.Charge);
                Assert.False(outcome.Body.IsEmpty);
                Assert.NotNull(dispatcher.GetDecision(tenant, outcome.Route.DecisionId));
                Assert.Null(dispatcher.GetDecision(SampleCatalog.Stranger, outcome.Route.DecisionId));
            }
        }

        foreach (var tenant in (TenantId[])[SampleCatalog.Rich, SampleCatalog.Poor])
        {
            Assert.Equal(Money.FromDollars(0.003m), world.Audit.Sums[tenant].Charged);
            await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<ITenantGrain>(tenant.Value).GetBudget(), budget => budget.SettledTotal == Money.FromDollars(0.003m));
        }

        var view = await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<IEndpointGrain>("chat-rt").GetView(), view => view?.Predictions == 6);
        Assert.Equal(Money.FromDollars(0.006m), view!.Charged);
    }

    [Fact]
    public async Task A_client_reaches_the_router_through_its_grain()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var outcome = await world.Grains.GetGrain<IRouterGrain>(0).Invoke(SampleCatalog.Request(SampleCatalog.Poor));
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        var dry = await world.Grains.GetGrain<IRouterGrain>(0).Explain(SampleCatalog.Request(SampleCatalog.Poor));
        Assert.Single(dry.Explanation!.Candidates, candidate => candidate.Chosen);
    }

    [Fact]
    public async Task What_is_wrong_with_a_request_is_said_and_nothing_is_charged()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var dispatcher = world.Dispatchers()[0];
        var good = SampleCatalog.Request(SampleCatalog.Poor);
        await Refuses(ProblemCode.UnknownTenant, good with { Tenant = SampleCatalog.Stranger });
        await Refuses(ProblemCode.UnknownModel, good with { Model = new("nothing") });
        await Refuses(ProblemCode.InvalidRequest, good with { Deadline = TimeSpan.Zero });
        await Refuses(ProblemCode.InvalidRequest, good with { MinQuality = 2 });
        await Refuses(ProblemCode.InvalidRequest, good with { MaxCharge = Money.FromNanos(-1) });
        await Refuses(ProblemCode.InvalidRequest, good with { CustomAttributes = new string('a', 1025) });
        await Refuses(ProblemCode.InvalidRequest, good with { CustomAttributes = "grün" });
        await Refuses(ProblemCode.InvalidRequest, good with { IdempotencyKey = new string('k', 256) });
        await Refuses(ProblemCode.NoCandidate, good with { MaxCharge = Money.FromNanos(1) });
        await Refuses(ProblemCode.NoCandidate, good with { LaneMask = 1 << (int)Lane.Batch });
        Assert.Empty(world.Audit.Records);
        Assert.Equal(0, world.Aws.Calls);

        async Task Refuses(ProblemCode code, InferenceRequest request)
        {
            var outcome = await dispatcher.InvokeAsync(request, CancellationToken.None);
            Assert.Equal(code, outcome.Problem?.Code);
        }
    }

    [Fact]
    public async Task A_call_that_the_model_failed_is_charged_and_is_no_prediction()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var dispatcher = world.Dispatchers()[0];
        world.Aws.Failure = static _ => new Invocation.ModelCallException(Invocation.ModelCallFailure.Model, "bad input");
        var failed = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.Equal(ProblemCode.ModelError, failed.Problem?.Code);
        world.Aws.Failure = static _ => null;
        Assert.True((await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None)).IsAnswer);

        var charged = world.Audit.Sums[SampleCatalog.Poor].Charged;
        var view = await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<IEndpointGrain>("chat-rt").GetView(), view => view?.Charged == charged);
        Assert.Equal(1, view!.Predictions);
    }

    [Fact]
    public async Task A_call_that_was_throttled_goes_to_another_endpoint_and_is_charged_once()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("first"), SampleCatalog.Endpoint("second")));
        var calls = 0;
        world.Aws.Failure = _ => Interlocked.Increment(ref calls) == 1 ? new Invocation.ModelCallException(Invocation.ModelCallFailure.Throttled, "slow down") { NotSent = true } : null;
        var outcome = await world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        Assert.Equal(2, world.Aws.Calls);
        Assert.Equal([Money.Zero, Money.FromDollars(0.001m)], world.Audit.Records.Select(record => record.Charge));
    }

    [Fact]
    public async Task A_request_that_got_money_and_no_slot_leaves_a_record_of_its_release()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", concurrency: 1)));
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var dispatcher = world.Dispatchers()[0];
        var running = Enumerable.Range(0, 2).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None)).ToList();
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.Calls), static calls => calls == 2);
        var refused = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor, deadlineSeconds: 8), CancellationToken.None);
        Assert.Equal(ProblemCode.Throttled, refused.Problem?.Code);
        var released = Assert.Single(world.Audit.Records);
        Assert.Equal(
            (Audit.AuditKind.Release, Money.Zero, ProblemCode.Throttled, refused.Route!.DecisionId),
            (released.Kind, released.Charge, released.Problem!.Value, released.Request));
        gate.SetResult();
        Assert.All(await Task.WhenAll(running), static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
    }

    [Fact]
    public async Task A_stream_is_settled_when_it_is_disposed()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var answer = await world.Dispatchers()[0].InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.Null(answer.Problem);
        var text = "";
        await foreach (var part in answer.Stream!.ReadPartsAsync(CancellationToken.None))
        {
            text += System.Text.Encoding.UTF8.GetString(part.Span);
        }

        Assert.Equal("one two three", text);
        Assert.Empty(world.Audit.Records);
        await answer.DisposeAsync();
        Assert.Equal(Money.FromDollars(0.001m), Assert.Single(world.Audit.Records).Charge);
        Assert.Equal(Money.FromDollars(0.001m), answer.Route!.Charge);
    }

    [Fact]
    public async Task A_call_that_leaves_before_it_has_a_slot_is_a_release_in_the_audit_log()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", concurrency: 1)));
        var dispatcher = world.Dispatchers()[0];

        // One on each of its two instances.
        await using var first = await dispatcher.InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        await using var second = await dispatcher.InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.Null(first.Problem ?? second.Problem);
        var accounts = ((InProcessSiloHandle)world.Cluster.Primary!).ServiceProvider.GetRequiredService<EndpointAccounts>();
        using var caller = new CancellationTokenSource();
        var waiting = dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), caller.Token);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(accounts.Get(new("chat-rt")).LoadFor(TrafficClass.High, world.Clock.Now, 0).Waiting), static count => count == 1);
        await caller.CancelAsync();
        Assert.Equal(ProblemCode.Cancelled, (await waiting).Problem?.Code);
        var record = Assert.Single(world.Audit.Records);
        Assert.Equal((AuditKind.Release, Money.Zero, Money.FromDollars(0.001m), ProblemCode.Cancelled), (record.Kind, record.Charge, record.Cap, record.Problem!.Value));
        Assert.Equal((SampleCatalog.Poor, Lane.Realtime, new EndpointName("chat-rt"), 0.0), (record.Tenant, record.Lane, record.Endpoint, record.ServiceMs));
    }

    [Fact]
    public async Task A_stream_that_its_caller_breaks_off_is_charged_for_what_it_was_given()
    {
        await using var world = await StartByTokenAsync();
        using var caller = new CancellationTokenSource();
        var answer = await world.Dispatchers()[0].InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), caller.Token);
        await using (answer)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (var part in answer.Stream!.ReadPartsAsync(caller.Token))
                {
                    Assert.Equal(4, part.Length);
                    await caller.CancelAsync();
                }
            });
        }

        // "one " is one token.
        Assert.Equal(Money.FromDollars(0.001m), answer.Route!.Charge);
        Assert.Equal(ProblemCode.Cancelled, Assert.Single(world.Audit.Records).Problem);
        Assert.Empty(world.Errors);
    }

    [Fact]
    public async Task A_stream_whose_reader_leaves_is_broken_off_too()
    {
        await using var world = await StartByTokenAsync();
        var answer = await world.Dispatchers()[0].InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        await using (answer)
        {
            var parts = 0;
            await foreach (var part in answer.Stream!.ReadPartsAsync(CancellationToken.None))
            {
                if (++parts == 2)
                {
                    break;
                }
            }
        }

        Assert.Equal(Money.FromDollars(0.002m), answer.Route!.Charge);
        Assert.Equal(ProblemCode.Cancelled, Assert.Single(world.Audit.Records).Problem);
        Assert.Empty(world.Errors);
    }

    [Theory]
    [InlineData(Invocation.ModelCallFailure.Model, ProblemCode.ModelError)]
    [InlineData(Invocation.ModelCallFailure.Unavailable, ProblemCode.UpstreamUnavailable)]
    public async Task A_stream_that_breaks_is_charged_for_what_was_relayed(Invocation.ModelCallFailure failure, ProblemCode code)
    {
        await using var world = await StartByTokenAsync();
        world.Aws.StreamFailure = new Invocation.ModelCallException(failure, "gone");
        var answer = await world.Dispatchers()[0].InvokeStreamAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        await using (answer)
        {
            await Assert.ThrowsAsync<Invocation.ModelCallException>(async () =>
            {
                await foreach (var part in answer.Stream!.ReadPartsAsync(CancellationToken.None))
                {
                    Assert.False(part.IsEmpty);
                }
            });
        }

        // "one two three" has thirteen bytes.
        Assert.Equal(Money.FromDollars(0.004m), answer.Route!.Charge);
        Assert.Equal(code, Assert.Single(world.Audit.Records).Problem);
    }

    private static async Task<RouterCluster> StartByTokenAsync()
    {
        var world = await RouterCluster.StartAsync(silos: 1);
        var endpoint = SampleCatalog.Endpoint("chat-rt") with { Tariff = new() { PerThousandOutputTokens = Money.FromDollars(1) } };
        var catalog = SampleCatalog.Create(Money.FromDollars(10), endpoint);
        await world.ApplyAsync(catalog with { Models = [catalog.Models[0] with { MaxOutputTokens = 100 }] });
        return world;
    }
}
