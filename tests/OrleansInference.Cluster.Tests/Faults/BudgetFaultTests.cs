using System.Globalization;

namespace OrleansInference.Tests.Faults;

/// <summary>
/// Budgets while silos die. Every run follows from its seed, as far as threads allow. For more runs, or a certain one:
/// <c>BUDGET_FAULT_RUNS=300 BUDGET_FAULT_SEED=1 dotnet run -c Release --project tests/OrleansInference.Cluster.Tests -- --filter-class '*BudgetFaultTests'</c>.
/// </summary>
public sealed class BudgetFaultTests
{
    private const int AtOnce = 12;
    private static readonly int Runs = Setting("BUDGET_FAULT_RUNS", 36);
    private static readonly int FirstSeed = Setting("BUDGET_FAULT_SEED", 1);

    [Fact]
    public async Task Nobody_is_overspent_while_silos_die_storage_fails_and_grains_are_active_twice()
    {
        await using var cluster = await FaultCluster.StartAsync(withStranger: true);
        BudgetRun[] runs = [.. Enumerable.Range(FirstSeed, Runs).Select(seed => new BudgetRun(cluster, seed, faulty: true))];
        using var stop = new CancellationTokenSource();
        var harassment = cluster.HarassAsync(FirstSeed, stop.Token);
        await Parallel.ForEachAsync(runs, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, static async (run, _) => await run.RunAsync());
        await stop.CancelAsync();
        await harassment;

        var problems = runs.SelectMany(run => run.Examine().Select(breach => $"seed {run.Seed}: {breach}")).ToList();
        await Parallel.ForEachAsync(runs, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (run, _) =>
        {
            if (await run.LedgerProblemAsync() is { } problem)
            {
                lock (problems)
                {
                    problems.Add(problem);
                }
            }
        });
        var charges = runs.Sum(static run => run.Log.Count);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{runs.Length} runs: {charges} charges, {runs.Sum(static run => run.Unavailable)} calls unavailable, {cluster.Kills} silos killed, {cluster.Storage.Failures} storage failures, {cluster.Storage.Conflicts} conflicts, "
            + $"{100 * runs.Average(static run => (double)run.Charged.Nanos / run.Limit.Nanos):F0} % of the budgets spent");
        Assert.True(problems.Count == 0, string.Join(Environment.NewLine, problems.Prepend($"To see it again: BUDGET_FAULT_RUNS=1 BUDGET_FAULT_SEED=<seed>, or BUDGET_FAULT_RUNS={Runs} BUDGET_FAULT_SEED={FirstSeed}.")));
        Assert.True(cluster.Kills > 0 && cluster.Storage.Failures > 0 && cluster.Storage.Conflicts > 0, "nothing went wrong, so nothing was proved");
        Assert.True(charges > Runs * 10, $"only {charges} requests were admitted in {Runs} runs");
    }

    [Fact]
    public async Task While_nothing_dies_at_least_97_percent_of_each_budget_can_be_spent()
    {
        await using var cluster = await FaultCluster.StartAsync(withStranger: false);
        BudgetRun[] runs = [.. Enumerable.Range(FirstSeed, 8).Select(seed => new BudgetRun(cluster, seed, faulty: false))];
        await Task.WhenAll(runs.Select(static async run =>
        {
            await run.RunAsync();
            await run.SpendTheRestAsync();
        }));
        Assert.All(runs, static run => Assert.Empty(run.Examine()));
        Assert.All(runs, static run => Assert.True(run.Charged.Nanos >= run.Limit.Nanos * 0.97, $"seed {run.Seed}: {run.Charged} of {run.Limit} could be spent"));
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
