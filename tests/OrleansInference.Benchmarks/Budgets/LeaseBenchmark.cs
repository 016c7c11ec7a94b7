using OrleansInference.Budgets;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>Reserving and settling on a lease that has enough.</summary>
internal static class LeaseBenchmark
{
    private const int Operations = 2_000_000;
    private const long Cap = 1_000;
    private const long Charge = 700;
    private const long Now = 1_000_000;

    /// <summary>Nanoseconds of one reservation and its settlement.</summary>
    public static double Run(Figures figures)
    {
        figures.Say("reserve and settle on a warm lease");
        var lease = WarmLease();
        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                if (!lease.TryReserve(Cap, Now))
                {
                    throw new InvalidOperationException("The lease ran out in the middle of the measurement.");
                }

                lease.Settle(Cap, Charge);
            }
        }

        var (nanoseconds, bytes) = Rounds.Measure(Operations, Loop);
        figures.Print("budgets.lease.reserve_settle.p10_of_rounds", nanoseconds, "ns", 150, Better.Low);
        figures.Print("budgets.lease.reserve_settle.allocated", bytes, "B", 0, Better.Low);
        if (Environment.ProcessorCount > 1)
        {
            figures.Print("budgets.lease.scaling_2_threads", Rounds.Scaling(100_000, Loop), "x", 1.5, Better.High);
        }

        return nanoseconds;
    }

    private static EscrowLease WarmLease()
    {
        var lease = new EscrowLease(1);
        lease.BuildReport("silo", Now);
        lease.Apply(new() { LeaseId = 1, Granted = 1L << 58, SpendUntil = long.MaxValue / 2, Keep = long.MaxValue }, Now);
        return lease;
    }
}
