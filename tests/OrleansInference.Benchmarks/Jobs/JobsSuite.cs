namespace OrleansInference.Benchmarks.Jobs;

/// <summary>What durable jobs cost: accepting them, coming up with many of them, and the async lane's own time.</summary>
internal static class JobsSuite
{
    public static async Task RunAsync(Figures figures)
    {
        await AsyncOverhead.RunAsync(figures);
        await OpenJobs.RunAsync(figures);
    }
}
