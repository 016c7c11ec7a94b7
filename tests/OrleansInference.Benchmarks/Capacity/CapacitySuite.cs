namespace OrleansInference.Benchmarks.Capacity;

/// <summary>What slots and queues cost a request, and how fairly they are shared.</summary>
internal static class CapacitySuite
{
    public static Task RunAsync(Figures figures)
    {
        PermitBenchmark.Run(figures);
        QueueBenchmark.Run(figures);
        FairnessBenchmark.Run(figures);
        return Task.CompletedTask;
    }
}
