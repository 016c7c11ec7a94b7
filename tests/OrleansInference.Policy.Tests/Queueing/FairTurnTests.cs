using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

/// <summary>The quote's view of the queue beside the queue itself.</summary>
public sealed class FairTurnTests
{
    [Fact]
    public void What_counts_as_ahead_is_what_the_fair_queue_serves_first()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var tenants = Enumerable.Range(0, random.Next(1, 6)).Select(i => (Id: new TenantId($"t{i}"), Weight: (double)random.Next(1, 4))).ToArray();
            var queue = new FairQueue<string>();
            queue.SetCapacity(1, 0, 0);
            var counts = new int[tenants.Length, 3];
            var id = 0L;
            for (var i = random.Next(60); i > 0; i--)
            {
                var (tenant, trafficClass) = (random.Next(tenants.Length), random.Next(3));
                counts[tenant, trafficClass]++;
                Add(queue, ++id, tenants[tenant], (TrafficClass)trafficClass);
            }

            var told = new SlotQueueReply
            {
                Waiting = [.. Enumerable.Range(0, 3).Select(c => Enumerable.Range(0, tenants.Length).Sum(t => counts[t, c]))],
                Tenants = [.. tenants.Select((tenant, t) => new WaitingTenant(tenant.Id, tenant.Weight, counts[t, 0], counts[t, 1], counts[t, 2])).Where(static each => each.High + each.Medium + each.Low > 0)],
            };
            var asks = (TrafficClass)random.Next(3);
            var asker = tenants[random.Next(tenants.Length)];
            var ahead = FairTurn.AheadOf(told, asks, asker.Id, asker.Weight);
            Add(queue, ++id, asker, asks);
            var before = 0;
            while (queue.TryDequeue(0, 0, [], out var ticket) && ticket.Id != id)
            {
                before++;
            }

            // By about a turn of each tenant: nobody knows where in its turn each of them is.
            Assert.True(Math.Abs(ahead - before) <= tenants.Length, $"seed {seed}: {ahead} told, {before} served before");
        }
    }

    [Fact]
    public void The_work_that_counts_as_ahead_is_what_the_fair_queue_serves_first_without_what_would_be_given_up()
    {
        const int longest = 4_000;
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var tenants = Enumerable.Range(0, random.Next(1, 6)).Select(i => (Id: new TenantId($"t{i}"), Weight: (double)random.Next(1, 4))).ToArray();
            var (asks, asker) = ((TrafficClass)random.Next(3), tenants[random.Next(tenants.Length)]);
            var service = random.Next(1, longest);
            var (queue, without) = (New(), New());
            for (var id = 1; id <= 60; id++)
            {
                var (tenant, trafficClass, serviceMs) = (tenants[random.Next(tenants.Length)], (TrafficClass)random.Next(3), random.Next(1, longest));
                Add(queue, id, tenant, trafficClass, serviceMs);
                if (trafficClass != asks || tenant != asker || Math.Floor(Math.Log2(serviceMs)) < Math.Floor(Math.Log2(service)) + 2)
                {
                    Add(without, id, tenant, trafficClass, serviceMs);
                }
            }

            List<WaitingWork> work = [];
            Array.ForEach(tenants, tenant => queue.AddWork(tenant.Id, isByLength: true, work));
            var told = new SlotQueueReply { WorkMs = [.. Enum.GetValues<TrafficClass>().Select(queue.WorkOf)], Work = [.. work] };
            var ahead = FairTurn.WorkAheadOf(told, asks, asker.Id, asker.Weight, service);
            Add(without, 100, asker, asks, service);
            long before = 0;
            while (without.TryDequeue(0, 0, [], out var ticket) && ticket.Id != 100)
            {
                before += ticket.ServiceMs;
            }

            // By about a turn of each tenant: nobody knows where in its turn each of them is.
            Assert.True(Math.Abs(ahead - before) <= longest * tenants.Length, $"seed {seed}: {ahead} told, {before} served before");

            // What was told of nobody in particular counts in full.
            Assert.True(FairTurn.WorkAheadOf(told with { Work = [] }, asks, asker.Id, asker.Weight, service) >= ahead);
        }

        Assert.Equal(0, FairTurn.WorkAheadOf(new() { Waiting = [1, 2, 3] }, TrafficClass.Low, new("t"), 1, 100));
        Assert.Equal(1, FairTurn.WorkAheadOf(new() { WorkMs = [0, 0, 9] }, TrafficClass.Medium, new("t"), 1, 100));

        static FairQueue<string> New()
        {
            var queue = new FairQueue<string>();
            queue.SetCapacity(1, 0, 0);
            return queue;
        }
    }

    [Theory]
    [InlineData(2_000, 10_000, 8_000)]
    [InlineData(7_500, 10_000, 2_500)]
    [InlineData(9_000, 10_000, 2_500)]
    [InlineData(50_000, 10_000, 2_500)]
    [InlineData(double.PositiveInfinity, 10_000, 2_500)]
    [InlineData(0, 10_000, 10_000)]
    [InlineData(1_000, -4_000, -1_000)]
    public void A_turn_is_of_use_until_the_call_could_end_in_time_or_for_a_quarter_of_the_time_there_is(double serviceMs, long deadline, long expected) =>
        Assert.Equal(1_800_000_000_000 + expected, FairTurn.LastBegin(serviceMs, 1_800_000_000_000 + deadline, 1_800_000_000_000));

    private static void Add(FairQueue<string> queue, long id, (TenantId Id, double Weight) tenant, TrafficClass trafficClass, int serviceMs = 1) =>
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(new() { Id = id, Tenant = tenant.Id, Weight = tenant.Weight, Class = trafficClass, Deadline = 1_000_000_000, ServiceMs = serviceMs }, 0, 0).Verdict);
}
