using OrleansInference.Benchmarks.FrontDoor;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>What a decision and its statistics cost a request.</summary>
internal static class RoutingSuite
{
    public static async Task RunAsync(Figures figures)
    {
        DecideBenchmark.Run(figures);
        StatisticsBenchmark.Run(figures);
        await DispatcherBenchmark.RunAsync(figures);
        await FrontDoorBenchmark.RunAsync(figures);
    }
}
