using OrleansInference.Benchmarks.Silos;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>What budgets cost a request, the storage and the memory.</summary>
internal static class BudgetSuite
{
    public static async Task RunAsync(Figures figures)
    {
        var onLease = LeaseBenchmark.Run(figures);
        LedgerMemory.Run(figures);
        await using (var silo = await BenchmarkSilo.StartAsync())
        {
            var throughAccount = await AccountBenchmark.RunAsync(figures, silo);
            await NaiveBenchmark.RunAsync(figures, silo, onLease, throughAccount);
            await LoadBenchmark.RunAsync(figures, silo);
        }

        await TenantMemory.RunAsync(figures);
    }
}
