using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

public sealed class FairQueueTests
{
    private const long Now = 1_000_000;
    private static readonly TenantId A = new("a");
    private static readonly TenantId B = new("b");
    private readonly List<Ticket<int>> _expired = [];
    private long _id;

    [Fact]
    public void A_more_urgent_class_is_first_and_a_front_that_waits_for_headroom_holds_back_the_less_urgent_but_never_the_urgent()
    {
        var queue = Queue(slots: 4, headroom: 2);
        Enqueue(queue, A, TrafficClass.Low);
        Enqueue(queue, A, TrafficClass.Medium, mostInUse: 1);
        Assert.Null(Dequeue(queue, inUse: 1));
        Enqueue(queue, B, TrafficClass.High, mostInUse: 1);
        Assert.Equal(TrafficClass.High, Dequeue(queue, inUse: 3)?.Class);
        Assert.Null(Dequeue(queue, inUse: 1));
        Assert.Equal(TrafficClass.Medium, Dequeue(queue, inUse: 0)?.Class);
        Assert.Null(Dequeue(queue, inUse: 2));
        Assert.Equal(TrafficClass.Low, Dequeue(queue, inUse: 1)?.Class);
    }

    [Fact]
    public void Lower_classes_may_use_all_slots_without_headroom_and_always_one()
    {
        var queue = Queue(slots: 3, headroom: 0);
        Enqueue(queue, A, TrafficClass.Low);
        Assert.NotNull(Dequeue(queue, inUse: 2));
        queue.SetCapacity(3, 5, 100);
        Enqueue(queue, A, TrafficClass.Low);
        Assert.Null(Dequeue(queue, inUse: 1));
        Assert.NotNull(Dequeue(queue, inUse: 0));
    }

    [Fact]
    public void The_headroom_yields_as_far_as_Medium_would_else_be_late()
    {
        // Three tickets of 100 ms, due in 110 ms, need three of the four slots; the two that are left need two.
        var queue = Late(TrafficClass.Medium, yields: true);
        var late = New(A, TrafficClass.Medium, after: 110);
        Assert.Equal(1, queue.HeadroomFor(late, Now));
        Assert.Null(Dequeue(queue, inUse: 3));
        Assert.Equal(TrafficClass.Medium, Dequeue(queue, inUse: 2)?.Class);
        Assert.Equal(2, queue.HeadroomFor(late, Now));
        Assert.Null(Dequeue(queue, inUse: 2));

        // Those that have time leave it alone, and so do those who can be put off and a queue that is told that it does not yield.
        Assert.Equal(2, Late(TrafficClass.Medium, yields: true).HeadroomFor(late, Now - 10_000));
        Assert.Null(Dequeue(Late(TrafficClass.Low, yields: true), inUse: 2));
        Assert.Null(Dequeue(Late(TrafficClass.Medium, yields: false), inUse: 2));

        FairQueue<int> Late(TrafficClass trafficClass, bool yields)
        {
            var queue = new FairQueue<int>();
            queue.SetCapacity(4, 2, 100, yields: yields);
            for (var i = 0; i < 3; i++)
            {
                Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, trafficClass, after: 110), 0, Now).Verdict);
            }

            return queue;
        }
    }

    [Fact]
    public void The_headroom_does_not_yield_to_those_who_have_time_for_one_beside_them_that_has_none()
    {
        var queue = new FairQueue<int>();
        queue.SetCapacity(4, 2, 100);
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, TrafficClass.Medium, after: 3_600_000), 0, Now).Verdict);
        }

        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(B, TrafficClass.Medium, after: 150), 0, Now).Verdict);
        var served = 0;
        while (Dequeue(queue, inUse: 2) is { } next)
        {
            // Only the late one may be served above the two slots.
            Assert.Equal(B, next.Tenant);
            served++;
        }

        Assert.InRange(served, 0, 1);
        Assert.NotNull(Dequeue(queue, inUse: 1));
    }

    [Fact]
    public void A_tenant_at_a_hundred_times_its_share_delays_another_by_no_more_than_one_ticket()
    {
        var queue = Queue(slots: 1, headroom: 0);
        for (var i = 0; i < 1_000; i++)
        {
            Enqueue(queue, A, TrafficClass.High);
        }

        Dequeue(queue);
        var wait = queue.FairWait(New(B, TrafficClass.High), 1);
        Assert.True(wait <= 200, $"a wait of {wait} ms");
        Enqueue(queue, B, TrafficClass.High);
        Enqueue(queue, B, TrafficClass.High);
        var order = string.Concat(Enumerable.Range(0, 5).Select(_ => Dequeue(queue)!.Value.Tenant.Value));
        Assert.Equal("babaa", order);
    }

    [Fact]
    public void Idleness_saves_nothing_up_and_leaving_after_a_turn_pays_nothing_off()
    {
        var queue = Queue(slots: 1, headroom: 0);
        for (var i = 0; i < 200; i++)
        {
            Enqueue(queue, A, TrafficClass.High);
        }

        for (var i = 0; i < 50; i++)
        {
            Dequeue(queue);
        }

        // B was away for fifty turns and gets every second one from now on, also when it comes back with one ticket at a time.
        var turns = 0;
        for (var i = 0; i < 100; i++)
        {
            if (queue.CountOf(B).Total == 0)
            {
                Enqueue(queue, B, TrafficClass.High);
            }

            turns += Dequeue(queue)!.Value.Tenant == B ? 1 : 0;
        }

        Assert.InRange(turns, 50, 51);
    }

    [Fact]
    public void Whoever_fills_the_queue_leaves_room_for_who_comes_later_and_for_every_class()
    {
        var queue = new FairQueue<int>(new() { MaxPerClass = 100 });
        EnqueueResult last = default;
        for (var i = 0; i < 200; i++)
        {
            last = queue.TryEnqueue(New(A, TrafficClass.Low), 0, Now);
        }

        Assert.Equal(EnqueueVerdict.TenantFull, last.Verdict);
        Assert.Equal(50, queue.CountOf(A).Low);
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(B, TrafficClass.Low), 0, Now).Verdict);
        for (var tenant = 0; tenant < 200; tenant++)
        {
            last = queue.TryEnqueue(New(new($"t{tenant}"), TrafficClass.Low), 0, Now);
        }

        Assert.Equal(EnqueueVerdict.QueueFull, last.Verdict);
        Assert.Equal(100, queue.CountOf(TrafficClass.Low));
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, TrafficClass.High), 0, Now).Verdict);
    }

    [Fact]
    public void What_cannot_make_its_deadline_is_refused_with_when_its_wait_would_be_short_enough()
    {
        var queue = Queue(slots: 2, headroom: 0);
        for (var i = 0; i < 20; i++)
        {
            Enqueue(queue, A, TrafficClass.High);
        }

        // Twenty tickets of 100 ms on two slots, and a third of 100 ms until the first slot is free.
        var late = queue.TryEnqueue(New(A, TrafficClass.High) with { Deadline = Now + 10_400 - 10_000 }, 2, Now);
        Assert.Equal(new(EnqueueVerdict.Queued, 33, 0), late);
        late = queue.TryEnqueue(New(A, TrafficClass.High, after: 20_000) with { ServiceMs = 10 }, 2, Now);
        Assert.Equal(EnqueueVerdict.Queued, late.Verdict);
        late = queue.TryEnqueue(New(B, TrafficClass.Medium) with { Deadline = Now + 1_000 }, 2, Now);
        Assert.Equal((EnqueueVerdict.TooLate, late.WaitMs - 1_000), (late.Verdict, late.RetryAfterMs));
        Assert.InRange(late.WaitMs, 1_080, 1_100);
        Assert.Equal(22, queue.Count);

        // The same is not too late for a tenant whose share is served first.
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(B, TrafficClass.High) with { Deadline = Now + 200 }, 2, Now).Verdict);
    }

    [Fact]
    public void A_free_slot_refuses_nobody_and_no_slots_at_all_refuse_only_what_is_over()
    {
        var queue = Queue(slots: 2, headroom: 0);
        Assert.Equal(new(EnqueueVerdict.Queued, 0, 0), queue.TryEnqueue(New(A, TrafficClass.High) with { Deadline = Now }, 1, Now));
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(New(A, TrafficClass.High) with { Deadline = Now - 1 }, 0, Now).Verdict);
        queue.SetCapacity(0, 0, 100);
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, TrafficClass.Low) with { Deadline = Now + 1 }, 0, Now).Verdict);
        Assert.Null(Dequeue(queue));
    }

    [Fact]
    public void While_slots_are_on_their_way_what_could_not_make_its_deadline_on_them_is_refused()
    {
        var queue = new FairQueue<int>();
        queue.SetCapacity(0, 0, 100, moreSlots: 4, moreInMs: 60_000);
        for (var i = 0; i < 40; i++)
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, TrafficClass.Medium) with { Deadline = Now + 61_000 }, 0, Now).Verdict);
        }

        // Forty tickets of 100 ms on four slots, a minute from now.
        Assert.Equal(61_000, queue.FairWait(New(A, TrafficClass.Medium), 0));
        Assert.Equal(new(EnqueueVerdict.TooLate, 61_000, 500), queue.TryEnqueue(New(A, TrafficClass.Low) with { Deadline = Now + 60_500 }, 0, Now));
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, TrafficClass.High) with { Deadline = Now + 60_500 }, 0, Now).Verdict);
    }

    [Fact]
    public void What_comes_before_a_ticket_is_the_more_urgent_and_what_of_its_tenant_is_due_as_early()
    {
        var queue = Queue(slots: 1, headroom: 0);
        foreach (var (trafficClass, after) in new[] { (TrafficClass.High, 9_000), (TrafficClass.Medium, 1_000), (TrafficClass.Medium, 2_000), (TrafficClass.Medium, 3_000), (TrafficClass.Low, 1_000) })
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(A, trafficClass, after), 0, Now).Verdict);
        }

        Assert.Equal(300, queue.WorkAhead(New(A, TrafficClass.Medium, 2_500)));
        Assert.Equal(100, queue.WorkAhead(New(A, TrafficClass.Medium, 500)));
        Assert.Equal(0, queue.WorkAhead(New(A, TrafficClass.High, 500)));
        Assert.Throws<ArgumentException>(() => queue.WorkAhead(New(A, TrafficClass.Medium) with { Weight = 0 }));
    }

    [Fact]
    public void The_fewest_of_a_tenants_much_longer_tickets_are_given_up_for_one_that_would_be_late()
    {
        var queue = Queue(slots: 1, headroom: 0);
        var (long1, long2, medium, other, late) = (Lasting(A, 4_000, 10_000), Lasting(A, 4_000, 11_000), Lasting(A, 1_000, 12_000), Lasting(B, 4_000, 40_000), Lasting(A, 8_000, 60_000));
        foreach (var ticket in new[] { long1, long2, medium, other, late })
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(ticket, 0, Now).Verdict);
        }

        // Behind the long ones, one of medium length and what B's share is: 13 s; for 12.5 s one of the long ones has to go, the one that has waited less, unless a slot is free.
        List<Ticket<int>> givenUp = [];
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(A, 100, 12_500), 1, Now).Verdict);
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(A, 100, 12_500), 0, Now, givenUp).Verdict);
        Assert.Equal((5, 0), (queue.Count, givenUp.Count));
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(Lasting(A, 100, 12_500), 1, Now, givenUp).Verdict);
        Assert.Equal([long2], givenUp);

        // None is given up for one that would not be half as long, for one that would be late all the same, or for one of another class or tenant.
        givenUp.Clear();
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(A, 1_100, 12_600), 1, Now + 5_000, givenUp).Verdict);
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(A, 100, 12_600), 1, Now + 12_500, givenUp).Verdict);
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(A, 100, 12_600) with { Class = TrafficClass.Low }, 1, Now + 5_000, givenUp).Verdict);
        Assert.Equal(EnqueueVerdict.TooLate, queue.TryEnqueue(Lasting(new("c"), 100, 12_600) with { Weight = 1e-6 }, 1, Now + 5_000, givenUp).Verdict);
        Assert.Empty(givenUp);
        Assert.Equal(5, queue.Count);
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(Lasting(A, 1_000, 12_600), 1, Now + 5_000, givenUp).Verdict);
        Assert.Equal([long1], givenUp);
    }

    [Fact]
    public void All_that_a_tenant_has_waiting_may_be_given_up_for_one_and_nothing_for_one_whose_time_is_over()
    {
        var queue = Queue(slots: 1, headroom: 0);
        var longs = Enumerable.Range(0, 3).Select(_ => Lasting(A, 4_000, 20_000)).ToArray();
        Assert.All(longs, ticket => Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(ticket, 0, Now).Verdict));
        List<Ticket<int>> givenUp = [];
        Assert.Equal(new(EnqueueVerdict.TooLate, 12_050, 0), queue.TryEnqueue(Lasting(A, 500, 20_000), 1, Now + 20_001, givenUp));
        Assert.Empty(givenUp);
        Assert.Equal(0, queue.WorkAhead(Lasting(A, 500, 20_000)));
        Assert.Equal(12_000, queue.WorkAhead(Lasting(A, 2_000, 20_000)));
        Assert.Equal(new(EnqueueVerdict.Queued, 50, 0), queue.TryEnqueue(Lasting(A, 500, 20_000), 1, Now + 19_500, givenUp));
        Assert.Equal(longs.OrderBy(static ticket => ticket.Id), givenUp.OrderBy(static ticket => ticket.Id));
        Assert.Equal((1, 1), (queue.Count, queue.Remembered));
    }

    [Fact]
    public void The_headroom_that_yields_to_Medium_is_no_reason_to_refuse_it_or_to_give_one_up()
    {
        var queue = Queue(slots: 8, headroom: 6);
        List<Ticket<int>> givenUp = [];
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(Lasting(A, 40_000, 150_000), 8, Now, givenUp).Verdict);
        }

        // 400 s on eight slots.
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(Lasting(A, 1_000, 160_000), 8, Now, givenUp).Verdict);
        Assert.Empty(givenUp);
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(Lasting(A, 1_000, 150_000), 8, Now + 100_500, givenUp).Verdict);
        Assert.Single(givenUp);
    }

    [Fact]
    public void What_has_expired_is_reported_once_and_gone()
    {
        var queue = Queue(slots: 1, headroom: 0);
        queue.SetCapacity(1, 0, 0);
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(i % 2 == 0 ? A : B, TrafficClass.Medium) with { Deadline = Now + i, ServiceMs = 0 }, 0, Now).Verdict);
        }

        Assert.Equal(Now, queue.EarliestDeadline);
        Assert.Equal(4, queue.Expire(Now + 4, _expired));
        Assert.True(queue.TryDequeue(0, Now + 6, _expired, out var next));
        Assert.Equal((Now + 6, 6), (next.Deadline, _expired.Count));
        Assert.Equal(6, _expired.Select(t => t.Id).Distinct().Count());
        Assert.Equal(3, queue.Count);
        Assert.Equal(3, queue.Expire(Now + 100, _expired));
        Assert.Equal((0, 0), (queue.Count, queue.Remembered));
    }

    private static FairQueue<int> Queue(int slots, int headroom)
    {
        var queue = new FairQueue<int>();
        queue.SetCapacity(slots, headroom, 100);
        return queue;
    }

    private Ticket<int> New(TenantId tenant, TrafficClass trafficClass, long after = 10_000_000, int mostInUse = int.MaxValue) =>
        new() { Id = ++_id, Tenant = tenant, Class = trafficClass, Deadline = Now + after, ServiceMs = 100, MostInUse = mostInUse };

    private Ticket<int> Lasting(TenantId tenant, int serviceMs, long after) => New(tenant, TrafficClass.Medium, after) with { ServiceMs = serviceMs };

    private void Enqueue(FairQueue<int> queue, TenantId tenant, TrafficClass trafficClass, int mostInUse = int.MaxValue) =>
        Assert.Equal(EnqueueVerdict.Queued, queue.TryEnqueue(New(tenant, trafficClass, mostInUse: mostInUse), 0, Now).Verdict);

    private Ticket<int>? Dequeue(FairQueue<int> queue, int inUse = 0) => queue.TryDequeue(inUse, Now, _expired, out var ticket) ? ticket : null;
}
