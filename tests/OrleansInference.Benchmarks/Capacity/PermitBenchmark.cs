using OrleansInference.Budgets;

namespace OrleansInference.Benchmarks.Capacity;

/// <summary>Taking a slot and giving it back on a lease that has enough.</summary>
internal static class PermitBenchmark
{
    private const int Operations = 2_000_000;
    private const long Now = 1_000_000;

    public static void Run(Figures figures)
    {
        figures.Say("take and return a permit on a warm lease");
        var lease = new EscrowLease(1);
        lease.BuildReport("silo", Now);
        lease.Apply(new() { LeaseId = 1, Granted = 1_000, SpendUntil = long.MaxValue / 2, Keep = long.MaxValue }, Now);
        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                if (!lease.TryReserve(1, Now))
                {
                    throw new InvalidOperationException("The lease ran out in the middle of the measurement.");
                }

                lease.Release(1);
            }
        }

        var (nanoseconds, bytes) = Rounds.Measure(Operations, Loop);
        figures.Print("capacity.permit.take_return.p10_of_rounds", nanoseconds, "ns", 100, Better.Low);
        figures.Print("capacity.permit.take_return.allocated", bytes, "B", 0, Better.Low);
    }
}
