using OrleansInference.Benchmarks.Silos;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>The whole way of a request's money on the hot path: the silo's account of the tenant, with its clock and its refills.</summary>
internal static class AccountBenchmark
{
    private const int Operations = 200_000;
    private static readonly Money Cap = Money.FromNanos(1_000);
    private static readonly Money Charge = Money.FromNanos(700);

    /// <summary>Nanoseconds of one reservation and its settlement.</summary>
    public static async Task<double> RunAsync(Figures figures, BenchmarkSilo silo)
    {
        figures.Say("reserve and settle through a tenant's account");
        var account = await silo.RichTenantAsync("account");

        // The lease follows demand: it is warm when it has seen some.
        for (var i = 0; i < 20; i++)
        {
            for (var k = 0; k < Operations; k++)
            {
                (await account.ReserveAsync(Cap, long.MaxValue, CancellationToken.None)).Reservation!.Value.Settle(Charge);
            }

            await Task.Delay(50);
        }

        var waited = 0L;
        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                var reply = account.ReserveAsync(Cap, long.MaxValue, CancellationToken.None);
                if (reply.IsCompletedSuccessfully)
                {
                    reply.Result.Reservation!.Value.Settle(Charge);
                }
                else
                {
                    Interlocked.Increment(ref waited);
                    reply.AsTask().GetAwaiter().GetResult().Reservation!.Value.Settle(Charge);
                }
            }
        }

        var (nanoseconds, bytes) = await Task.Run(() => Rounds.Measure(Operations, Loop));
        figures.Print("budgets.account.reserve_settle.p10_of_rounds", nanoseconds, "ns", 150, Better.Low);
        figures.Print("budgets.account.reserve_settle.allocated", bytes, "B", 0, Better.Low);
        if (Environment.ProcessorCount > 1)
        {
            figures.Print("budgets.account.scaling_2_threads", await Task.Run(() => Rounds.Scaling(100_000, Loop)), "x", 1.5, Better.High);
        }

        figures.Say($"{waited} of them waited for the tenant's grain");
        return nanoseconds;
    }
}
