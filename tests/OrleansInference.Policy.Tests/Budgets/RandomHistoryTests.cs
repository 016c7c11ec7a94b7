namespace OrleansInference.Tests.Budgets;

public sealed class RandomHistoryTests
{
    private const int Histories = 12_000;

    [Fact]
    public void No_history_overspends_or_misbooks()
    {
        var admitted = 0L;
        var failures = new System.Collections.Concurrent.ConcurrentBag<string>();
        Parallel.For(0, Histories, (seed, loop) =>
        {
            var (problem, count) = Play(seed);
            Interlocked.Add(ref admitted, count);
            if (problem is not null)
            {
                failures.Add(problem);
                loop.Stop();
            }
        });

        Assert.True(failures.IsEmpty, string.Join(Environment.NewLine, failures));
        Assert.True(admitted > Histories * 10L, $"only {admitted} requests were admitted: the histories prove little");
    }

    /// <summary>Seeds that once failed; add one to replay its history.</summary>
    [Theory]
    [InlineData(6098)]
    [InlineData(169)]
    public void A_history_is_replayed_from_its_seed(int seed)
    {
        var (problem, admitted) = Play(seed);
        Assert.Null(problem);
        Assert.Equal(admitted, Play(seed).Admitted);
    }

    private static (string? Problem, int Admitted) Play(int seed)
    {
        var world = new BudgetWorld(seed);
        try
        {
            var problem = world.Run(steps: 100 + seed % 7 * 50);
            return (problem is null ? null : $"seed {seed}: {problem}", world.Admitted);
        }
        catch (Exception e)
        {
            return ($"seed {seed}: {e}", world.Admitted);
        }
    }
}
