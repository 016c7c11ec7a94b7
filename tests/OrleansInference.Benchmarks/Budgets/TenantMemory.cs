namespace OrleansInference.Benchmarks.Budgets;

/// <summary>What an idle tenant costs a silo beyond its ledger: the activation of its grain.</summary>
internal static class TenantMemory
{
    private const int AtOnce = 64;

    public static async Task RunAsync(Figures figures)
    {
        // The storage forgets at once, so that what it holds is not taken for the silo's.
        await using var silo = await BenchmarkSilo.StartAsync(keepsState: false);
        figures.Say($"{LedgerMemory.Tenants} idle tenants in one silo");
        await ActivateAsync(silo, "warm", 200);
        var before = await SettledMemoryAsync();
        await ActivateAsync(silo, "idle", LedgerMemory.Tenants);
        var bytes = (double)(await SettledMemoryAsync() - before) / LedgerMemory.Tenants;
        figures.Print("budgets.idle.grain_activation", bytes, "B", null, Better.Low);
    }

    private static Task ActivateAsync(BenchmarkSilo silo, string prefix, int count) =>
        Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (i, _) =>
        {
            var name = $"{prefix}-{i}";
            var grain = silo.Grains.GetGrain<ITenantGrain>(name);
            await grain.Configure(BenchmarkTenants.Create(name, Money.FromDollars(100)));
            await grain.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, AtLeast = 1_000_000, Wanted = 10_000_000 });
            await grain.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, Settled = 700_000, Closing = true });
        });

    private static async Task<long> SettledMemoryAsync()
    {
        await Task.Delay(1_500);
        return GC.GetTotalMemory(forceFullCollection: true);
    }
}
