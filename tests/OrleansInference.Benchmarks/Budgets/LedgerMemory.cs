using OrleansInference.Benchmarks.Silos;
using OrleansInference.Budgets;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>What an idle ledger holds on to: one that was used in the last hour, by a lease that was given back, and by a job.</summary>
internal static class LedgerMemory
{
    public const int Tenants = 100_000;

    public static void Run(Figures figures)
    {
        figures.Say($"{Tenants} idle ledgers");
        var ledgers = new TenantLedger[Tenants];
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < Tenants; i++)
        {
            ledgers[i] = UsedLedger($"tenant-{i}");
        }

        var bytes = (double)(GC.GetTotalMemory(forceFullCollection: true) - before) / Tenants;
        GC.KeepAlive(ledgers);
        figures.Print("budgets.idle.ledger", bytes, "B", 2_048, Better.Low);
    }

    private static TenantLedger UsedLedger(string name)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var ledger = new TenantLedger(BenchmarkTenants.Create(name, Money.FromDollars(100)), null);
        ledger.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, AtLeast = 1_000_000, Wanted = 10_000_000 }, now);
        ledger.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, Settled = 700_000, Wanted = 10_000_000 }, now + 5_000);
        ledger.Refill(new() { Holder = "S127.0.0.1:11111:1", LeaseId = 1, Settled = 1_400_000, Closing = true }, now + 35_000);
        ledger.Reserve("job", Money.FromNanos(1_000_000), now + 600_000, now + 60_000);
        ledger.Settle("job", Money.FromNanos(700_000), now + 90_000);
        ledger.Tick(now + 900_000);
        return ledger;
    }
}
