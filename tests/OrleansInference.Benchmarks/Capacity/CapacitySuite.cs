namespace OrleansInference.Benchmarks.Capacity;

/// <summary>What slots and queues cost a request, and how fairly they are shared.</summary>
internal static class CapacitySuite
{
    public static async Task RunAsync(Figures figures)
    {
        PermitBenchmark.Run(figures);
        QueueBenchmark.Run(figures);
        FairnessBenchmark.Run(figures);
        await UtilisationBenchmark.RunAsync(figures);
    }
}
