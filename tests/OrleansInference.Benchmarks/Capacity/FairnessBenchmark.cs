using OrleansInference.Queueing;

namespace OrleansInference.Benchmarks.Capacity;

/// <summary>
/// How long requests of well-behaved tenants wait, in virtual time, when one tenant sends as much as each other, and when it sends a hundred times as much.
/// Twenty tenants share forty slots; a tenant is so many clients, each of which thinks, asks, and waits for its answer. With demand for more than all the
/// slots in both runs, each has its share and no more, and the flood must change nothing. With less, the others lose the idle slots that the flood now
/// uses, which were never theirs: they must still fare no worse than on two slots of their own.
/// </summary>
internal static class FairnessBenchmark
{
    private const int Tenants = 20;
    private const int Share = 2;
    private const double MeanServiceMs = 200;
    private const double MeanThinkMs = 400;
    private const double Length = 2_000_000;
    private const int Flood = 100;
    private const int SaturatingClients = 8;
    private const int ModestClients = 5;

    public static void Run(Figures figures)
    {
        figures.Say($"one of {Tenants} tenants at {Flood} times its share, in virtual time");
        var (fair, flooded) = (WaitOfOthers(Tenants, SaturatingClients, 1), WaitOfOthers(Tenants, SaturatingClients, Flood));
        figures.Print("capacity.fairness.p99_wait.all_alike", fair, "ms", null, Better.Low);
        figures.Print("capacity.fairness.p99_wait.one_at_100_times", flooded, "ms", null, Better.Low);
        figures.Print("capacity.fairness.p99_wait_growth", 100 * ((flooded / fair) - 1), "%", 10, Better.Low);
        var (alone, modest) = (WaitOfOthers(1, ModestClients, 1), WaitOfOthers(Tenants, ModestClients, Flood));
        figures.Print("capacity.fairness.p99_wait.below_its_share_beside_the_flood_to_slots_of_its_own", modest / alone, "x", 1, Better.Low);
    }

    /// <summary>99th percentile of the wait of the requests of all tenants but the flooding one, in milliseconds.</summary>
    private static double WaitOfOthers(int tenants, int clients, int times)
    {
        var slots = tenants * Share;
        var queue = new FairQueue<(int Tenant, double At)>();
        queue.SetCapacity(slots, 0, MeanServiceMs);
        var names = new TenantId[tenants];
        var draws = new Random[tenants];
        var events = new PriorityQueue<(bool IsEnd, int Tenant), double>();
        for (var tenant = 0; tenant < tenants; tenant++)
        {
            (names[tenant], draws[tenant]) = (new($"tenant-{tenant}"), new(tenant));
            for (var i = tenant == 0 && times > 1 ? clients * times : clients; i > 0; i--)
            {
                events.Enqueue((false, tenant), Exponential(draws[tenant], MeanThinkMs));
            }
        }

        var waits = new List<double>();
        List<Ticket<(int Tenant, double At)>> expired = [];
        var (id, inUse) = (0L, 0);
        while (events.TryDequeue(out var next, out var now) && now < Length)
        {
            if (next.IsEnd)
            {
                inUse--;
                events.Enqueue((false, next.Tenant), now + Exponential(draws[next.Tenant], MeanThinkMs));
            }
            else if (queue.TryEnqueue(
                new()
                {
                    Id = ++id,
                    Tenant = names[next.Tenant],
                    Class = TrafficClass.High,
                    Deadline = long.MaxValue / 8,
                    ServiceMs = (int)Math.Ceiling(Exponential(draws[next.Tenant], MeanServiceMs)),
                    Holder = (next.Tenant, now),
                },
                inUse,
                (long)now) is { Verdict: not EnqueueVerdict.Queued } answer)
            {
                throw new InvalidOperationException($"A request was refused: {answer}.");
            }

            while (inUse < slots && queue.TryDequeue(inUse, (long)now, expired, out var served))
            {
                inUse++;
                events.Enqueue((true, served.Holder.Tenant), now + served.ServiceMs);
                if (served.Holder.Tenant > 0 || times == 1)
                {
                    waits.Add(now - served.Holder.At);
                }
            }
        }

        waits.Sort();
        return waits[(int)(0.99 * waits.Count)];
    }

    private static double Exponential(Random draws, double mean) => -mean * Math.Log(1 - draws.NextDouble());
}
