using OrleansInference.Benchmarks.Silos;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>A grain that holds nothing: what an activation costs by itself.</summary>
internal interface IEmptyGrain : IGrainWithStringKey
{
    /// <summary>Activates it.</summary>
    Task Touch();
}

/// <inheritdoc cref="IEmptyGrain"/>
internal sealed class EmptyGrain : Grain, IEmptyGrain
{
    public Task Touch() => Task.CompletedTask;
}

/// <summary>What an idle tenant costs a silo: while the activation of its grain is there, and when it has left memory.</summary>
internal static class TenantMemory
{
    private const int AtOnce = 64;

    public static async Task RunAsync(Figures figures)
    {
        // The storage forgets at once, so that what it holds is not taken for the silo's.
        await using var silo = await BenchmarkSilo.StartAsync(keepsState: false);
        figures.Say($"{LedgerMemory.Tenants} idle tenants in one silo");
        await Task.WhenAll(TouchAsync(silo, "warm", 200), ActivateAsync(silo, "warm", 200));
        await CollectAsync(silo);

        var start = await SettledMemoryAsync();
        await TouchAsync(silo, "empty", LedgerMemory.Tenants);
        Print("budgets.idle.activation_of_an_empty_grain", await SettledMemoryAsync() - start, null);
        await CollectAsync(silo);

        start = await SettledMemoryAsync();
        await ActivateAsync(silo, "idle", LedgerMemory.Tenants);
        Print("budgets.idle.tenant_in_its_first_minutes", await SettledMemoryAsync() - start, null);
        await CollectAsync(silo);
        Print("budgets.idle.tenant_after_its_grain_left_memory", await SettledMemoryAsync() - start, 2_048);

        void Print(string name, long bytes, double? limit) => figures.Print(name, Math.Max(0, (double)bytes / LedgerMemory.Tenants), "B", limit, Better.Low);
    }

    private static Task ActivateAsync(BenchmarkSilo silo, string prefix, int count) => ForEachAsync(count, async i =>
    {
        var name = $"{prefix}-{i}";
        var grain = silo.Grains.GetGrain<ITenantGrain>(name);
        await grain.Configure(BenchmarkTenants.Create(name, Money.FromDollars(100)));
        await grain.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, AtLeast = 1_000_000, Wanted = 10_000_000 });
        await grain.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, Settled = 700_000, Closing = true });
    });

    private static Task TouchAsync(BenchmarkSilo silo, string prefix, int count) => ForEachAsync(count, i => silo.Grains.GetGrain<IEmptyGrain>($"{prefix}-{i}").Touch());

    private static Task ForEachAsync(int count, Func<int, Task> act) =>
        Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (i, _) => await act(i));

    // What the silo does by itself some minutes later.
    private static async Task CollectAsync(BenchmarkSilo silo)
    {
        var management = silo.Grains.GetGrain<IManagementGrain>(0);
        for (var i = 0; i < 600; i++)
        {
            await management.ForceActivationCollection(TimeSpan.FromSeconds(1));
            var left = await management.GetSimpleGrainStatistics();
            if (!left.Any(static grain => grain.ActivationCount > 0 && (grain.GrainType.Contains(nameof(EmptyGrain)) || grain.GrainType.Contains("TenantGrain"))))
            {
                return;
            }

            await Task.Delay(200);
        }

        throw new InvalidOperationException("Idle grains did not leave memory within two minutes.");
    }

    private static async Task<long> SettledMemoryAsync()
    {
        // A tenant's last turn, which ends its timer, comes two seconds after its last use.
        await Task.Delay(4_000);
        return GC.GetTotalMemory(forceFullCollection: true);
    }
}
