namespace OrleansInference.Tests;

public sealed class BudgetTests
{
    private static readonly Money Price = Money.FromDollars(0.001m);

    [Fact]
    public async Task A_hot_tenant_with_half_the_money_is_never_overspent_and_spends_nearly_all()
    {
        const int Requests = 600;
        const int Affordable = 300;
        await using var world = await RouterCluster.StartAsync();
        var limit = Price * Affordable;
        await world.ApplyAsync(SampleCatalog.Create(limit));
        var outcomes = await LoadAsync(world, Requests);

        var charged = world.Audit.Sums[SampleCatalog.Poor].Charged;
        Assert.True(charged <= limit, $"charged {charged} of {limit}");
        Assert.Equal(Price * outcomes.Count(outcome => outcome.IsAnswer), charged);
        Assert.All(outcomes.Where(outcome => !outcome.IsAnswer), outcome => Assert.Equal(ProblemCode.BudgetExhausted, outcome.Problem!.Code));
        Assert.DoesNotContain(outcomes, outcome => !outcome.IsAnswer && outcome.Problem!.RetryAfter is null);
        Assert.True(charged.Nanos >= limit.Nanos / 2, $"only {charged} of {limit} could be spent");

        var budget = await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget(), budget => budget.SettledTotal == charged);
        Assert.Equal(Money.Zero, budget.UnreportedTotal);
    }

    [Fact]
    public async Task A_silo_that_is_killed_under_load_leads_to_neither_overspending_nor_too_many_calls()
    {
        const int Requests = 400;
        await using var world = await RouterCluster.StartAsync();
        world.Aws.Service = TimeSpan.FromMilliseconds(20);
        var limit = Price * 300;
        await world.ApplyAsync(SampleCatalog.Create(limit, SampleCatalog.Endpoint("chat-rt", concurrency: 4)));
        var survivors = world.Cluster.Silos.Where(silo => silo != world.Cluster.SecondarySilos[0]).Select(world.Dispatcher).ToArray();
        var victim = world.Dispatcher(world.Cluster.SecondarySilos[0]);
        var load = Enumerable.Range(0, Requests).Select(i => InvokeAsync(survivors[i % survivors.Length])).ToArray();
        var doomed = Enumerable.Range(0, 50).Select(_ => InvokeAsync(victim)).ToArray();
        await Task.WhenAny(doomed);
        await world.Cluster.KillSiloAsync(world.Cluster.SecondarySilos[0]);
        await Task.WhenAll(load);

        Assert.True(world.Aws.MostInFlight("chat-rt") <= 8, $"{world.Aws.MostInFlight("chat-rt")} calls were in flight on 8 slots");
        Assert.True(world.Audit.Sums[SampleCatalog.Poor].Charged <= limit);

        // What the dead silo had not reported counts as spent: the ledger never says less than the audit log.
        await RouterCluster.EventuallyAsync(
            () => world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget(),
            budget => budget.SettledTotal + budget.UnreportedTotal >= world.Audit.Sums[SampleCatalog.Poor].Charged);
        var budget = await world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget();
        Assert.True(budget.SettledTotal + budget.UnreportedTotal <= limit, $"{budget.SettledTotal} + {budget.UnreportedTotal} of {limit}");

        static Task<InferenceOutcome> InvokeAsync(Dispatch.IDispatcher dispatcher) => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
    }

    private static async Task<InferenceOutcome[]> LoadAsync(RouterCluster world, int requests)
    {
        var dispatchers = world.Dispatchers();
        return await Task.WhenAll(Enumerable.Range(0, requests).Select(i => dispatchers[i % dispatchers.Count].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None)));
    }
}
