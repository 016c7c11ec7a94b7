namespace OrleansInference.Tests.Budgets;

/// <summary>
/// Histories from seeds. One is played again by
/// <c>BUDGET_HISTORY_SEED=seed dotnet run -c Release --project tests/OrleansInference.Policy.Tests -- --filter-class '*RandomHistoryTests'</c>.
/// </summary>
public sealed class RandomHistoryTests
{
    private const int Histories = 12_000;
    private const string SeedVariable = "BUDGET_HISTORY_SEED";

    [Fact]
    public void No_history_overspends_or_misbooks()
    {
        if (int.TryParse(Environment.GetEnvironmentVariable(SeedVariable), out var only))
        {
            Assert.Null(Play(only).Problem);
            return;
        }

        var (admitted, pageWrites) = (0L, 0L);
        var events = new long[Enum.GetValues<HistoryEvent>().Length];
        var failures = new System.Collections.Concurrent.ConcurrentBag<string>();
        Parallel.For(0, Histories, (seed, loop) =>
        {
            var (problem, world) = Play(seed);
            Interlocked.Add(ref admitted, world.Admitted);
            Interlocked.Add(ref pageWrites, world.PageWrites);
            for (var i = 0; i < events.Length; i++)
            {
                Interlocked.Add(ref events[i], world.Events[i]);
            }

            if (problem is not null)
            {
                failures.Add(problem);
                loop.Stop();
            }
        });

        Assert.True(failures.IsEmpty, string.Join(Environment.NewLine, failures));
        Assert.True(admitted > Histories * 10L, $"only {admitted} requests were admitted: the histories prove little");
        Assert.True(pageWrites > Histories, $"only {pageWrites} pages were written");
        foreach (var kind in Enum.GetValues<HistoryEvent>())
        {
            Assert.True(events[(int)kind] > 500, $"{kind} happened {events[(int)kind]} times in {Histories} histories: they prove little about it");
        }
    }

    /// <summary>Seeds that once failed; add one to replay its history.</summary>
    [Theory]
    [InlineData(6098)]
    [InlineData(169)]
    public void A_history_is_replayed_from_its_seed(int seed)
    {
        var (problem, world) = Play(seed);
        Assert.Null(problem);
        Assert.Equal(world.Events, Play(seed).World.Events);
    }

    private static (string? Problem, BudgetWorld World) Play(int seed)
    {
        var world = new BudgetWorld(seed);
        try
        {
            var problem = world.Run(steps: 100 + seed % 7 * 50);
            return (problem is null ? null : Describe(problem), world);
        }
        catch (Exception e)
        {
            return (Describe(e.ToString()), world);
        }

        string Describe(string problem) => $"seed {seed}: {problem} (to play it again: {SeedVariable}={seed})";
    }
}
