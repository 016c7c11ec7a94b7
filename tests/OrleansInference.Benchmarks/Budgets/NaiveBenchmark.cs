using System.Diagnostics;
using OrleansInference.Benchmarks.Silos;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>The naive way: each request reserves from the tenant's grain and settles there, durably, on storage that takes no time.</summary>
internal static class NaiveBenchmark
{
    private const int Requests = 150;
    private const int Measured = 20;

    public static async Task RunAsync(Figures figures, BenchmarkSilo silo, double onLease, double throughAccount)
    {
        figures.Say("reserve and settle straight from the tenant's grain");
        await silo.RichTenantAsync("naive");
        var grain = silo.Grains.GetGrain<ITenantGrain>("naive");
        var rounds = new double[Measured];
        for (var round = -3; round < Measured; round++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < Requests; i++)
            {
                var id = $"{round}/{i}";
                var reply = await grain.Reserve(id, Money.FromNanos(1_000), DateTimeOffset.UtcNow.AddMinutes(1).ToUnixTimeMilliseconds());
                if (!reply.Granted)
                {
                    throw new InvalidOperationException($"A reservation was refused: {reply.Reason}.");
                }

                await grain.Settle(id, Money.FromNanos(700));
            }

            if (round >= 0)
            {
                rounds[round] = Stopwatch.GetElapsedTime(start).TotalNanoseconds / Requests;
            }
        }

        var naive = Rounds.LowerDecile(rounds);
        figures.Print("budgets.grain.reserve_settle.p10_of_rounds", naive, "ns", null, Better.Low);
        figures.Print("budgets.grain_to_lease", naive / onLease, "x", null, Better.High);
        figures.Print("budgets.grain_to_account", naive / throughAccount, "x", null, Better.High);
    }
}
