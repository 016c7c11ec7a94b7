using System.Diagnostics;
using OrleansInference.Benchmarks.Silos;
using OrleansInference.Leases;

namespace OrleansInference.Benchmarks.Budgets;

/// <summary>One tenant on one silo under 10,000 requests a second: what reaches the storage.</summary>
internal static class LoadBenchmark
{
    private const int PerSecond = 10_000;
    private const int InFlight = 200;
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(20);
    private static readonly Money Cap = Money.FromDollars(0.002m);
    private static readonly Money Charge = Money.FromDollars(0.0014m);

    public static async Task RunAsync(Figures figures, BenchmarkSilo silo)
    {
        figures.Say($"{PerSecond} requests per second of one tenant for {WarmUp + Length}");
        var account = await silo.RichTenantAsync("load");
        var grain = silo.Grains.GetGrain<ITenantGrain>("load").GetGrainId();
        var load = new Load(account);
        await load.OfferAsync(WarmUp);
        var (writes, offered, waited) = (silo.Storage.WritesOf(grain), load.Offered, load.Waited);
        var start = Stopwatch.GetTimestamp();
        await load.OfferAsync(Length);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        writes = silo.Storage.WritesOf(grain) - writes;
        load.SettleAll();
        figures.Print("budgets.load.offered", (load.Offered - offered) / seconds, "1/s", PerSecond * 0.99, Better.High);
        figures.Print("budgets.load.storage_writes", writes / seconds, "1/s", 1, Better.Low);
        figures.Print("budgets.load.waited_for_grain", 100.0 * (load.Waited - waited) / (load.Offered - offered), "%", null, Better.Low);
    }

    private sealed class Load(TenantAccount account)
    {
        private readonly Queue<MoneyReservation> _inFlight = new();

        public long Offered { get; private set; }

        public long Waited { get; private set; }

        // Whatever is due by the clock is offered at once, so that a slow moment does not thin out the load.
        public async Task OfferAsync(TimeSpan length)
        {
            var start = Stopwatch.GetTimestamp();
            var begin = Offered;
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
            do
            {
                var due = begin + (long)(Stopwatch.GetElapsedTime(start).TotalSeconds * PerSecond);
                while (Offered < due)
                {
                    Offered++;
                    var reply = account.ReserveAsync(Cap, long.MaxValue, CancellationToken.None);
                    Waited += reply.IsCompleted ? 0 : 1;
                    var reservation = (await reply).Reservation ?? throw new InvalidOperationException("A request was refused although there is money.");
                    _inFlight.Enqueue(reservation);
                    while (_inFlight.Count > InFlight)
                    {
                        _inFlight.Dequeue().Settle(Charge);
                    }
                }

                await timer.WaitForNextTickAsync();
            }
            while (Stopwatch.GetElapsedTime(start) < length);
        }

        public void SettleAll()
        {
            while (_inFlight.TryDequeue(out var reservation))
            {
                reservation.Settle(Charge);
            }
        }
    }
}
