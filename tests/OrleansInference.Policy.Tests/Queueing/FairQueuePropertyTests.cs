using FsCheck.Xunit;
using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class FairQueuePropertyTests
{
    private static readonly TenantId[] Tenants = [.. Enumerable.Range(0, 40).Select(i => new TenantId($"tenant-{i}"))];

    [Property(MaxTest = 500)]
    public void It_does_what_the_stated_rules_say(int seed)
    {
        var random = new Random(seed);
        var options = new FairQueueOptions { MaxPerClass = random.Next(1, 60), MaxPerTenant = random.Next(1, 30) };
        var (queue, slow) = (new FairQueue<int>(options), new SlowQueue(options));
        var tenants = random.Next(1, 12);
        var (now, inUse, id) = (1_000_000L, 0, 0L);
        List<Ticket<int>> expired = [];
        for (var step = 0; step < 300; step++)
        {
            switch (random.Next(12))
            {
                case 0:
                    (slow.Slots, slow.Headroom, slow.Yields) = (random.Next(0, 8), random.Next(0, 4), random.Next(2) == 0);
                    queue.SetCapacity(slow.Slots, slow.Headroom, 0, yields: slow.Yields);
                    break;
                case 1:
                    now += random.Next(0, 300);
                    break;
                case 2 when slow.Waiting.Count > 0:
                    var gone = slow.Waiting[random.Next(slow.Waiting.Count)];
                    Assert.True(slow.Remove(gone.Id));
                    Assert.True(queue.Remove(gone.Id, out var removed));
                    Assert.Equal(gone, removed);
                    Assert.False(queue.Remove(gone.Id, out _));
                    break;
                case < 8:
                    var ticket = Any(random, ++id, tenants, now);
                    List<Ticket<int>>? givenUp = random.Next(2) == 0 ? null : [];
                    var result = queue.TryEnqueue(ticket, inUse, now, givenUp);
                    Assert.True(result.WaitMs >= 0 && result.RetryAfterMs >= 0);
                    foreach (var given in givenUp ?? [])
                    {
                        Assert.Equal((EnqueueVerdict.Queued, ticket.Tenant, ticket.Class), (result.Verdict, given.Tenant, given.Class));
                        Assert.True(given.Deadline <= ticket.Deadline && given.ServiceMs >= 2 * ticket.ServiceMs);
                        Assert.True(slow.Remove(given.Id));
                    }

                    if (result.Verdict != EnqueueVerdict.TooLate)
                    {
                        Assert.Equal(slow.HasRoom(ticket, out var verdict), result.Verdict == EnqueueVerdict.Queued);
                        Assert.Equal(verdict, result.Verdict);
                    }
                    else
                    {
                        Assert.True(result.WaitMs > ticket.Deadline - now);
                    }

                    Assert.True(result.Verdict != EnqueueVerdict.Queued || result.WaitMs <= ticket.Deadline - now);

                    if (result.Verdict == EnqueueVerdict.Queued)
                    {
                        slow.Enqueue(ticket);
                    }

                    break;
                default:
                    inUse = random.Next(0, Math.Max(1, slow.Slots + 1));
                    expired.Clear();
                    var any = queue.TryDequeue(inUse, now, expired, out var next);
                    Assert.Equal(slow.Expire(now).OrderBy(t => t.Id), expired.OrderBy(t => t.Id));
                    Assert.Equal(slow.Dequeue(inUse, now), any ? next : null);
                    break;
            }

            Compare(queue, slow, now);
        }

        foreach (var left in slow.Waiting)
        {
            Assert.True(queue.Remove(left.Id, out _));
        }

        Assert.Equal((0, 0), (queue.Count, queue.Remembered));
    }

    [Property(MaxTest = 300)]
    public void Tenants_that_always_wait_get_work_by_their_weights_within_one_ticket_each(int seed)
    {
        var random = new Random(seed);
        var queue = new FairQueue<int>(new() { MaxPerClass = 100_000 });
        queue.SetCapacity(1, 0, 0);
        var count = random.Next(2, 8);
        var weights = Enumerable.Range(0, count).Select(_ => Math.Pow(10, (2 * random.NextDouble()) - 1)).ToArray();
        var (served, largest, id) = (new double[count], new double[count], 0L);
        List<Ticket<int>> expired = [];
        void Arrive(int tenant, TrafficClass trafficClass) => Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(
            new() { Id = ++id, Tenant = Tenants[tenant], Weight = weights[tenant], Class = trafficClass, Deadline = long.MaxValue / 8, ServiceMs = random.Next(1, 500), Holder = tenant },
            1,
            0).Verdict);

        // A history before, so that tags differ when the measurement begins; one tenant comes late.
        for (var i = 0; i < 300; i++)
        {
            Arrive(random.Next(count - 1), TrafficClass.Medium);
            _ = random.Next(2) == 0 && queue.TryDequeue(0, 0, expired, out _);
        }

        for (var tenant = 0; tenant < count; tenant++)
        {
            for (var i = 0; i < 4; i++)
            {
                Arrive(tenant, TrafficClass.Medium);
            }
        }

        for (var i = 0; i < 2_000; i++)
        {
            Assert.True(queue.TryDequeue(0, 0, expired, out var next));
            var tenant = next.Holder;
            served[tenant] += next.ServiceMs / weights[tenant];
            largest[tenant] = Math.Max(largest[tenant], next.ServiceMs / weights[tenant]);
            Arrive(tenant, TrafficClass.Medium);
            for (var a = 0; a < count; a++)
            {
                for (var b = 0; b < a; b++)
                {
                    // Theorem 1 of the paper, with the largest ticket that there is.
                    Assert.True(Math.Abs(served[a] - served[b]) <= (500 / weights[a]) + (500 / weights[b]) + 1e-6, $"seed {seed}: {served[a]} and {served[b]}");
                }
            }
        }

        Assert.All(largest, most => Assert.True(most > 0));
    }

    [Property(MaxTest = 500)]
    public void The_fair_wait_is_what_is_served_before_within_a_ticket_of_each_other_tenant(int seed)
    {
        var random = new Random(seed);
        var options = new FairQueueOptions { MaxPerClass = 10_000 };
        var (queue, slow) = (new FairQueue<int>(options), new SlowQueue(options));
        slow.Slots = 1;
        queue.SetCapacity(1, 0, 0);
        var (tenants, id, now) = (random.Next(1, 20), 0L, 1_000_000L);
        List<Ticket<int>> expired = [];
        Dictionary<TenantId, long> largest = [];
        for (var i = random.Next(5, 120); i > 0; i--)
        {
            // A few tenants have most of the tickets.
            var ticket = Any(random, ++id, 1 + random.Next(tenants), now) with { Class = TrafficClass.High, Deadline = now + 10_000_000 + random.Next(1_000), MostInUse = int.MaxValue };
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(ticket, 1, now).Verdict);
            slow.Enqueue(ticket);
            largest[ticket.Tenant] = Math.Max(largest.GetValueOrDefault(ticket.Tenant, 1), ticket.ServiceMs);
            if (random.Next(3) == 0)
            {
                queue.TryDequeue(0, now, expired, out _);
                slow.Dequeue(0);
            }
        }

        var asking = Any(random, ++id, tenants, now) with { Class = TrafficClass.High, Deadline = now + 10_000_000 + random.Next(1_000) };
        var before = slow.WorkBefore(asking);

        // A tenant that waits may be ahead of virtual time by its last turn, which waits no longer: its largest ticket of all counts.
        var slack = slow.Waiting.Select(t => t.Tenant).Distinct().Where(t => t != asking.Tenant).Sum(t => largest[t]);

        // With no mean service the wait for the first slot is none; a weight that changes on arrival moves only the next turns.
        var wait = queue.FairWait(asking, 1);
        Assert.True(wait >= before - slack - 1, $"seed {seed}: {wait} for {before} ± {slack}");
        Assert.True(wait <= (2 * before) + slack + 1, $"seed {seed}: {wait} for {before} ± {slack}");
    }

    private static Ticket<int> Any(Random random, long id, int tenants, long now)
    {
        var tenant = random.Next(tenants);
        return new()
        {
            Id = id,
            Tenant = Tenants[tenant],
            Weight = 1 + (tenant % 4),
            Class = (TrafficClass)random.Next(3),
            Deadline = now + random.Next(0, 2_000),
            ServiceMs = random.Next(0, 200),
            MostInUse = random.Next(3) == 0 ? random.Next(1, 6) : int.MaxValue,
            Holder = random.Next(),
        };
    }

    private static void Compare(FairQueue<int> queue, SlowQueue slow, long now)
    {
        Assert.Equal(slow.Waiting.Count, queue.Count);
        Assert.Equal(slow.Remembered, queue.Remembered);
        Assert.All(slow.Waiting, ticket => Assert.Equal(slow.HeadroomFor(ticket, now), queue.HeadroomFor(ticket, now)));
        Assert.Equal(slow.Waiting.Count == 0 ? long.MaxValue : slow.Waiting.Min(t => t.Deadline), queue.EarliestDeadline);
        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            var of = slow.Waiting.Where(t => t.Class == trafficClass).ToList();
            Assert.Equal(of.Count, queue.CountOf(trafficClass));
            Assert.Equal(of.Sum(t => (long)Math.Max(1, t.ServiceMs)), queue.WorkOf(trafficClass));
        }

        var backlogs = slow.Waiting.GroupBy(t => t.Tenant)
            .Select(g => new WaitingTenant(g.Key, 1, g.Count(t => t.Class == TrafficClass.High), g.Count(t => t.Class == TrafficClass.Medium), g.Count(t => t.Class == TrafficClass.Low)));
        Assert.Equal(backlogs.OrderBy(b => b.Tenant.Value), queue.Tenants().Select(b => b with { Weight = 1 }).OrderBy(b => b.Tenant.Value));
    }
}
