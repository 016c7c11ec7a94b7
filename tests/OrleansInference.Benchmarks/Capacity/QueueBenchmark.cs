using OrleansInference.Queueing;

namespace OrleansInference.Benchmarks.Capacity;

/// <summary>Operations on a queue in which 100,000 tickets of 1,000 tenants wait: a ticket arrives, another gets its slot; now and then one leaves from the middle.</summary>
internal static class QueueBenchmark
{
    private const int Waiting = 100_000;
    private const int Tenants = 1_000;
    private const int Operations = 800_000;
    private const int LeaveEvery = 8;
    private const long Hour = 3_600_000;

    public static void Run(Figures figures)
    {
        figures.Say($"a queue of {Waiting} tickets of {Tenants} tenants");
        var random = new Random(1);
        var tenants = new TenantId[Tenants];
        for (var i = 0; i < Tenants; i++)
        {
            tenants[i] = new($"tenant-{i}");
        }

        var queue = new FairQueue<int>(new() { MaxPerClass = 2 * Waiting, MaxPerTenant = Waiting });
        queue.SetCapacity(1_000, 50, 100);
        List<Ticket<int>> expired = [];
        var (id, leaving, now, inUse) = (0L, 0L, 1_000_000L, 0);
        while (queue.Count < Waiting)
        {
            Arrive();
        }

        void Loop(int operations)
        {
            for (var i = 0; i < operations; i += 2)
            {
                now += i % 100 == 0 ? 1 : 0;
                Arrive();
                if (i % LeaveEvery == 0)
                {
                    Leave();
                }
                else
                {
                    Take();
                }
            }
        }

        var (nanoseconds, bytes) = Rounds.Measure(Operations, Loop);
        if (queue.Count < Waiting - Operations / 100 || expired.Count > 0)
        {
            throw new InvalidOperationException($"{queue.Count} tickets wait at the end of the measurement, and {expired.Count} expired.");
        }

        figures.Print("capacity.queue.operation.p10_of_rounds", nanoseconds, "ns", 1_000, Better.Low);
        figures.Print("capacity.queue.operation.allocated", bytes, "B", 64, Better.Low);

        void Arrive()
        {
            var draw = random.Next();
            var answer = queue.TryEnqueue(
                new()
                {
                    Id = ++id,
                    Tenant = tenants[draw % Tenants],
                    Weight = 1 + (draw % 3),
                    Class = (TrafficClass)(draw / Tenants % 3),
                    Deadline = now + (10 * Hour) + (draw % Hour),
                    ServiceMs = 50 + (draw % 100),
                },
                inUse,
                now);
            if (answer.Verdict != EnqueueVerdict.Queued)
            {
                throw new InvalidOperationException($"A ticket was refused: {answer}.");
            }
        }

        void Take()
        {
            if (!queue.TryDequeue(inUse, now, expired, out _))
            {
                throw new InvalidOperationException("There was no ticket for a free slot.");
            }
        }

        void Leave()
        {
            // Those that waited long enough to be gone by now are passed over.
            do
            {
                leaving = Math.Max(leaving + 1, id - Waiting / 2);
            }
            while (!queue.Remove(leaving, out _));
        }
    }
}
