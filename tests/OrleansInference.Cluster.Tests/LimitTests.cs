using Microsoft.Extensions.Time.Testing;
using OrleansInference.Dispatch;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

/// <summary>Limits as they change, silos as they come and go, and what the budget's view says of it.</summary>
public sealed class LimitTests
{
    private static readonly Money Price = Money.FromDollars(0.001m);

    [Fact]
    public async Task A_limit_lowered_under_load_holds_on_every_silo_but_for_what_was_leased_and_that_is_shown()
    {
        await using var world = await RouterCluster.StartAsync();
        world.Aws.Service = TimeSpan.FromMilliseconds(20);
        await world.ApplyAsync(SampleCatalog.Create(Price * 100_000, SampleCatalog.Endpoint("chat-rt", concurrency: 16)));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        using var stop = new CancellationTokenSource();
        var load = Task.WhenAll(world.Dispatchers().SelectMany(dispatcher => Enumerable.Range(0, 4).Select(_ => KeepAskingAsync(dispatcher, stop.Token))));
        await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.Leases.Length == 3 && budget.SettledTotal > Price * 20);

        var definition = (await tenant.GetDefinition())!;
        var limit = (await tenant.GetBudget()).SettledTotal + Price * 30;
        await tenant.Configure(definition with { Budgets = [definition.Budgets[0] with { Limit = limit }] });
        var lowered = (await tenant.GetBudget()).Windows[0];
        Assert.Equal(limit, lowered.Window.Limit);

        // Refusals come from all silos once what was leased is called back or spent.
        await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.Windows[0].BeyondLimit == Money.Zero || budget.Windows[0].Leased == Money.Zero);
        var outcomes = await Task.WhenAll(world.Dispatchers().Select(dispatcher => RefusedAsync(dispatcher)));
        Assert.All(outcomes, outcome => Assert.NotNull(outcome.Problem!.RetryAfter));
        await stop.CancelAsync();
        await load;

        var charged = world.Audit.Sums[SampleCatalog.Poor].Charged;
        Assert.True(charged <= limit + lowered.BeyondLimit, $"charged {charged} of {limit} and {lowered.BeyondLimit} that were out");
    }

    [Theory]
    [InlineData(5)]
    [InlineData(3)]
    [InlineData(12)]
    public async Task A_lowered_limit_holds_everywhere_within_the_stated_seconds(int limitChange)
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await RouterCluster.StartAsync(clock: new(time), options: options => options.LimitChange = TimeSpan.FromSeconds(limitChange));
        await world.ApplyAsync(SampleCatalog.Create(Price * 100_000));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        foreach (var dispatcher in world.Dispatchers())
        {
            Assert.True((await AskAsync(dispatcher)).IsAnswer);
        }

        Assert.Equal(3, (await tenant.GetBudget()).Leases.Count(static lease => lease.Outstanding > Money.Zero));
        var definition = (await tenant.GetDefinition())!;
        await tenant.Configure(definition with { Budgets = [definition.Budgets[0] with { Limit = Price }] });
        var changed = await tenant.GetBudget();
        Assert.True(changed.Windows[0].BeyondLimit > Money.Zero);
        Assert.Equal(limitChange, changed.LimitChangeRouterSeconds);

        for (var second = 0; second < changed.LimitChangeRouterSeconds; second++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await world.BeatAsync();
        }

        Assert.Equal(Money.Zero, (await tenant.GetBudget()).Windows[0].Leased);
        foreach (var dispatcher in world.Dispatchers())
        {
            Assert.Equal(ProblemCode.BudgetExhausted, (await AskAsync(dispatcher)).Problem?.Code);
        }

        Assert.Equal(Price * 3, world.Audit.Sums[SampleCatalog.Poor].Charged);
    }

    [Fact]
    public async Task A_settlement_that_is_told_again_after_the_ledger_forgot_it_is_no_error_and_changes_nothing()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await RouterCluster.StartAsync(silos: 1, clock: new(time));
        await world.ApplyAsync(SampleCatalog.Create(Price * 3));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        Assert.True((await tenant.Reserve("job", Price * 2, world.Clock.Now + 60_000)).Granted);
        Assert.Equal(Price, (await tenant.Settle("job", Price))?.Charge);
        time.Advance(TimeSpan.FromSeconds(61));
        Assert.Null(await tenant.Settle("job", Price));
        Assert.Equal(Price, (await tenant.GetBudget()).SettledTotal);
        Assert.Empty(world.Errors);
    }

    [Fact]
    public async Task Money_that_has_come_free_is_given_at_once_to_who_asks_next_though_the_silo_knew_it_was_short()
    {
        await using var world = await RouterCluster.StartAsync(silos: 2, clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)));
        await world.ApplyAsync(SampleCatalog.Create(Price * 3));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        Assert.True((await tenant.Reserve("job", Price * 3, long.MaxValue)).Granted);
        var refused = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => AskAsync(world.Dispatchers()[i % 2])));
        Assert.All(refused, static outcome =>
        {
            Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem?.Code);
            Assert.Contains($"{Price} $ are needed and of the budget of {Price * 3} $ per rolling 86400 s {Money.Zero} $ are available: {Money.Zero} $ are settled, {Price * 3} $ reserved by jobs;", outcome.Problem!.Message, StringComparison.Ordinal);
            Assert.NotNull(outcome.Problem.RetryAfter);
        });

        // No time passes, and nobody tells the silos.
        await tenant.Settle("job", Price);
        Assert.Equal(Price * 2, (await tenant.GetBudget()).Windows[0].Available);
        foreach (var dispatcher in world.Dispatchers())
        {
            var outcome = await AskAsync(dispatcher);
            Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
        }

        var spent = await AskAsync(world.Dispatchers()[0]);
        Assert.Equal(ProblemCode.BudgetExhausted, spent.Problem?.Code);
    }

    [Fact]
    public async Task A_lease_goes_back_when_it_has_not_been_used_for_its_time_and_no_sooner()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await RouterCluster.StartAsync(silos: 2, clock: new(time));
        await world.ApplyAsync(SampleCatalog.Create(Price * 100_000));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        Assert.True((await AskAsync(world.Dispatchers()[0])).IsAnswer);
        Assert.True(Assert.Single((await tenant.GetBudget()).Leases).Outstanding > Money.Zero);
        for (var second = 0; second < LeaseAccount.IdleMs / 1000; second++)
        {
            Assert.True((await tenant.GetBudget()).Leases.Length == 1, $"given back after {second} s");
            time.Advance(TimeSpan.FromSeconds(1));
            await world.BeatAsync();
        }

        time.Advance(TimeSpan.FromSeconds(1));
        await world.BeatAsync();
        var idle = await tenant.GetBudget();
        Assert.Empty(idle.Leases);
        Assert.Equal((Price, Money.Zero), (idle.SettledTotal, idle.UnreportedTotal));
    }

    [Fact]
    public async Task The_first_burst_of_a_tenant_that_no_silo_has_seen_is_held_to_its_budget()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Price * 50));
        var dispatchers = world.Dispatchers();
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 300).Select(i => AskAsync(dispatchers[i % 3])));
        var charged = world.Audit.Sums[SampleCatalog.Poor].Charged;
        Assert.True(charged <= Price * 50, $"{charged} was charged");
        Assert.Equal(Price * outcomes.Count(static outcome => outcome.IsAnswer), charged);
        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer || outcome.Problem!.Code == ProblemCode.BudgetExhausted, outcome.Problem?.Message));
    }

    [Fact]
    public async Task A_silo_that_stops_in_order_gives_its_lease_back_and_one_that_is_killed_shows_as_unreported()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Price * 100_000));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        foreach (var dispatcher in world.Dispatchers())
        {
            Assert.True((await AskAsync(dispatcher)).IsAnswer);
        }

        var leaving = world.Cluster.SecondarySilos[0];
        var name = leaving.SiloAddress.ToString();
        Assert.Contains((await tenant.GetBudget()).Leases, lease => lease.Holder == name && lease.Outstanding > Money.Zero);
        await world.Cluster.StopSiloAsync(leaving);
        var returned = await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.Leases.All(lease => lease.Holder != name) && budget.SettledTotal == Price * 3);
        Assert.Equal(Money.Zero, returned.UnreportedTotal);

        var dying = world.Cluster.SecondarySilos.Single();
        using var stop = new CancellationTokenSource();
        var load = KeepAskingAsync(world.Dispatcher(dying), stop.Token);
        await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.Leases.Any(lease => lease.Holder == dying.SiloAddress.ToString() && lease.Outstanding > Money.Zero));
        await world.Cluster.KillSiloAsync(dying);
        await stop.CancelAsync();
        await load;
        var lost = await RouterCluster.EventuallyAsync(tenant.GetBudget, budget => budget.Leases.All(lease => lease.Holder != dying.SiloAddress.ToString()));
        Assert.True(lost.UnreportedTotal > Money.Zero);
        Assert.Equal(lost.UnreportedTotal, lost.Windows[0].Unreported);
        Assert.True(lost.SettledTotal + lost.UnreportedTotal >= world.Audit.Sums[SampleCatalog.Poor].Charged);
    }

    private static async Task KeepAskingAsync(IDispatcher dispatcher, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            if (!(await AskAsync(dispatcher)).IsAnswer)
            {
                await Task.Delay(20, CancellationToken.None);
            }
        }
    }

    private static async Task<InferenceOutcome> RefusedAsync(IDispatcher dispatcher) =>
        await RouterCluster.EventuallyAsync(() => AskAsync(dispatcher), static outcome => outcome.Problem?.Code == ProblemCode.BudgetExhausted);

    private static Task<InferenceOutcome> AskAsync(IDispatcher dispatcher) => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
}
