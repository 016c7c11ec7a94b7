using System.Collections.Immutable;
using OrleansInference.Budgets;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class SlotLedgerTests
{
    private const long Start = 1_000_000;
    private SlotLedger _ledger = new(EscrowOptions.Slots(60_000), 1);
    private readonly Dictionary<string, long> _queues = [];
    private long _ticket;
    private (EscrowState Leases, HeadroomState Headroom) _stored;

    [Fact]
    public void A_ticket_is_answered_with_the_slot_that_the_grant_holds_for_it()
    {
        _ledger.SetCapacity(2, keepsHeadroom: false, 100);
        var grant = Ask("a", Start, [Ticket(TrafficClass.High)]);
        var answer = Assert.Single(grant.Queue!.Answers);
        Assert.Equal((1L, SlotVerdict.Called), (answer.Ticket, answer.Verdict));
        Assert.Equal(1, grant.Granted);
        Assert.Null(grant.Queue.WaitingFrom);
    }

    [Fact]
    public void Answers_are_told_until_they_have_been_heard()
    {
        _ledger.SetCapacity(2, keepsHeadroom: false, 100);
        var first = Ask("a", Start, [Ticket(TrafficClass.High)]);
        Assert.Single(Ask("a", Start + 1, []).Queue!.Answers);
        Assert.Empty(Ask("a", Start + 2, [], heard: first.Queue!.Sequence, pending: 1).Queue!.Answers);
    }

    [Fact]
    public void A_silo_that_was_forgotten_and_comes_back_hears_new_answers()
    {
        _ledger.SetCapacity(2, keepsHeadroom: false, 100);
        var heard = 0L;
        for (var i = 0; i < 5; i++)
        {
            heard = Ask("a", Start + i, [Ticket(TrafficClass.High)], heard: heard, returned: i, leaseId: 1).Queue!.Sequence;
        }

        var queue = _queues["a"];
        var later = Start + 600_000;
        Ask("b", later, []);
        Assert.False(_ledger.Knows("a"));
        var back = Ask("a", later + 1, [Ticket(TrafficClass.High)], heard: heard, leaseId: 2);
        Assert.True(back.Queue!.Sequence > heard);
        Assert.NotEqual(queue, back.Queue.Queue);
        Assert.Equal(SlotVerdict.Called, Assert.Single(back.Queue.Answers).Verdict);
    }

    [Fact]
    public void A_slot_that_one_silo_gives_back_is_announced_to_the_silo_whose_turn_it_is()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        var holds = Ask("a", Start, [Ticket(TrafficClass.Low)]);
        Ask("b", Start + 1, [Ticket(TrafficClass.Low)]);
        var waiting = Ask("c", Start + 2, [Ticket(TrafficClass.High)]);
        Assert.Empty(waiting.Queue!.Answers);
        Assert.Equal(TrafficClass.High, waiting.Queue.WaitingFrom);
        Assert.Equal(["a", "b"], _ledger.TakeNotices(Start + 3).Select(static notice => notice.Holder).Order());

        Ask("a", Start + 4, [], heard: holds.Queue!.Sequence, returned: 1);
        var (holder, grant) = Assert.Single(_ledger.TakeNotices(Start + 4), static notice => notice.Grant.Queue!.Answers.Any(static answer => answer.Verdict == SlotVerdict.Called));
        Assert.Equal(("c", 1L), (holder, grant.Granted));
    }

    [Fact]
    public void What_instances_took_with_them_is_called_back_at_once_and_nothing_is_granted_beyond_what_is_left()
    {
        _ledger.SetCapacity(8, keepsHeadroom: false, 100);
        var grant = Ask("a", Start, [.. Enumerable.Range(0, 6).Select(_ => Ticket(TrafficClass.High))]);
        Assert.Equal(6, grant.Granted);
        _ledger.SetCapacity(2, keepsHeadroom: false, 100);
        var (_, notice) = Assert.Single(_ledger.TakeNotices(Start + 1));
        Assert.Equal(0, notice.Keep);
        Assert.Empty(Ask("b", Start + 2, [Ticket(TrafficClass.High)]).Queue!.Answers);
        Ask("a", Start + 3, [], heard: grant.Queue!.Sequence, returned: 5, pending: 1);
        Assert.Equal(SlotVerdict.Called, Assert.Single(_ledger.TakeNotices(Start + 3).Single(static each => each.Holder == "b").Grant.Queue!.Answers).Verdict);
        Assert.Equal(2, _ledger.Escrow.Outstanding);
    }

    [Fact]
    public void The_tickets_of_a_silo_that_has_fallen_silent_leave_and_its_slots_stay_out_while_its_calls_may_run()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        Ask("dead", Start, [Ticket(TrafficClass.High), Ticket(TrafficClass.High)]);
        Ask("alive", Start + 1, [Ticket(TrafficClass.High, Start + 10_000_000)]);
        var later = Start + 15_000;
        var still = Ask("alive", later, []);
        Assert.Empty(still.Queue!.Answers);
        Assert.Equal(1, _ledger.Waiting.Sum());
        var gone = Start + _ledger.Escrow.Options.LeaseMs + _ledger.Escrow.Options.SkewMs + 60_000;
        Assert.Empty(Ask("alive", gone - 5_000, [Ticket(TrafficClass.High, gone + 100_000)], leaseId: 2).Queue!.Answers);
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("alive", gone + 1, [], leaseId: 2).Queue!.Answers).Verdict);
    }

    [Fact]
    public void A_silo_that_has_died_with_tickets_in_the_queue_does_not_swallow_the_slots()
    {
        const int slots = 10, many = 200;
        _ledger.SetCapacity(slots, keepsHeadroom: false, 100);
        var alive = Ask("alive", Start, [.. Enumerable.Range(0, slots).Select(_ => Ticket(TrafficClass.High))]);
        Ask("dead", Start + 1, [.. Enumerable.Range(0, many).Select(_ => Ticket(TrafficClass.High))]);
        Ask("alive", Start + 2, [.. Enumerable.Range(0, many).Select(_ => Ticket(TrafficClass.High))], heard: alive.Queue!.Sequence, pending: slots);

        // Every tenth of a second all calls of the living end.
        var served = 0L;
        for (var now = Start + 100; now < Start + 15_000; now += 100)
        {
            var before = alive.Granted;
            alive = Ask("alive", now, [], heard: alive.Queue!.Sequence, returned: alive.Granted);
            _ledger.TakeNotices(now);
            served += alive.Granted - before;
        }

        Assert.InRange(served, many, many + slots);
        Assert.InRange(_ledger.Escrow.Leases.Where(static lease => lease.Holder == "dead").Sum(static lease => lease.Outstanding), 0, slots - 1);
    }

    [Fact]
    public void What_is_answered_to_a_lease_that_was_closed_is_told_again()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        var first = Ask("a", Start, [Ticket(TrafficClass.Low)]);
        Ask("a", Start + 10, [Ticket(TrafficClass.High)], heard: first.Queue!.Sequence, leaseId: 2);
        _ledger.TakeNotices(Start + 10);

        // The report on the lease that was closed gives its slot back.
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("a", Start + 20, [], heard: first.Queue.Sequence, returned: 1).Queue!.Answers).Verdict);
        Assert.Equal(SlotVerdict.Called, Assert.Single(Assert.Single(_ledger.TakeNotices(Start + 21)).Grant.Queue!.Answers).Verdict);
    }

    [Fact]
    public void After_a_restart_the_headroom_yields_only_when_all_silos_have_told_their_tickets()
    {
        // All that live have had the time to report, and the lease of silo a, which has not, might still be in use.
        var now = InUseButOne();
        Restart(now);
        now += _ledger.Escrow.Options.LeaseMs + 1;
        Ask("b", now, [], pending: 2);
        Assert.Empty(Ask("b", now + 1, [LateMedium(now)], pending: 2).Queue!.Answers);

        // That silo a has been heard is not enough: its tickets come when it has heard that there is another queue.
        Assert.Empty(Ask("a", now + 2, [], pending: 1, high: 1).Queue!.Answers);
        Assert.Empty(Ask("b", now + 3, [], pending: 2).Queue!.Answers);
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("a", now + 4, [Ticket(TrafficClass.High)], pending: 1, high: 1).Queue!.Answers).Verdict);
        Assert.Empty(Ask("b", now + 5, [], pending: 2).Queue!.Answers);
    }

    [Fact]
    public void After_a_restart_the_headroom_yields_once_all_silos_have_told_that_no_ticket_waits()
    {
        var now = InUseButOne();
        Restart(now);
        now += _ledger.Escrow.Options.LeaseMs + 1;
        Ask("b", now, [], pending: 2);
        Ask("a", now, [], pending: 1, high: 1);
        Ask("a", now + 1, [], pending: 1, high: 1);
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("b", now + 1, [LateMedium(now)], pending: 2).Queue!.Answers).Verdict);
    }

    [Fact]
    public void After_an_absence_longer_than_a_lease_the_headroom_yields_only_when_silos_that_are_not_known_any_more_have_had_the_time_to_report()
    {
        // Their leases have run out, while the calls on them may still run.
        var now = InUseButOne() + 15_000;
        Restart(now);
        Ask("b", now, [], leaseId: 2);
        Assert.Empty(Ask("b", now + 1, [LateMedium(now)], leaseId: 2).Queue!.Answers);

        // The slot is there for silo a, which has one of High that waits.
        Ask("a", now + 2, [], leaseId: 2, high: 1);
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("a", now + 3, [Ticket(TrafficClass.High)], leaseId: 2, high: 1).Queue!.Answers).Verdict);
    }

    /// <summary>Three of four slots are in use, and one is kept for High, of which a call is in flight on silo a. If there was no restart it would be given to a late Medium.</summary>
    private long InUseButOne()
    {
        _ledger.SetCapacity(4, keepsHeadroom: true, 100);
        var now = Start + _ledger.Escrow.Options.LeaseMs + 1;
        _ledger.Tick(Start);
        var a = Ask("a", now, [Ticket(TrafficClass.High)]).Queue!.Sequence;
        var b = Ask("b", now, [Ticket(TrafficClass.Medium), Ticket(TrafficClass.Medium)]).Queue!.Sequence;
        Ask("a", now + 10, [], heard: a, pending: 1, high: 1);
        Ask("b", now + 10, [], heard: b, pending: 2);
        Assert.Equal((3, 1), (_ledger.Escrow.Outstanding, _ledger.Headroom));
        _stored = (_ledger.Escrow.ToState(), _ledger.Demand.ToHeadroomState());
        Assert.Equal(SlotVerdict.Called, Assert.Single(Ask("b", now + 20, [LateMedium(now + 20)], heard: b, pending: 2).Queue!.Answers).Verdict);
        return now + 20;
    }

    private void Restart(long now)
    {
        _ledger = new(_ledger.Escrow.Options, 100, _stored.Leases, headroom: _stored.Headroom);
        _ledger.SetCapacity(4, keepsHeadroom: true, 100);
        _ledger.Tick(now);
        Assert.Equal((3, 1), (_ledger.Escrow.Outstanding, _ledger.Headroom));
    }

    [Fact]
    public void The_silo_of_a_request_that_is_given_up_for_a_shorter_one_of_its_tenant_hears_of_it()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        var holds = Ask("c", Start, [Ticket(TrafficClass.Medium)]);
        var longs = Enumerable.Range(0, 2).Select(i => new SlotTicket(++_ticket, new("t"), 1, TrafficClass.Medium, Start + 9_000, 4_000)).ToArray();
        Assert.Empty(Ask("a", Start + 1, [.. longs]).Queue!.Answers);
        var waiting = Ask("b", Start + 2, [new(++_ticket, new("t"), 1, TrafficClass.Medium, Start + 9_000, 100)]);
        Assert.Empty(waiting.Queue!.Answers);
        Assert.Equal([0, 3, 0], _ledger.Waiting);

        // For another, a while later, one of the long ones has to go.
        Assert.Empty(Ask("b", Start + 1_200, [new(++_ticket, new("t"), 1, TrafficClass.Medium, Start + 9_000, 100)], heard: waiting.Queue!.Sequence).Queue!.Answers);
        var (holder, grant) = Assert.Single(_ledger.TakeNotices(Start + 1_201), static notice => notice.Grant.Queue!.Answers.Any(static answer => answer.Verdict == SlotVerdict.TooLate));
        Assert.Equal(("a", longs[1].Id, SlotVerdict.TooLate), (holder, Assert.Single(grant.Queue!.Answers).Ticket, grant.Queue.Answers[0].Verdict));
        Assert.Equal([0, 3, 0], _ledger.Waiting);
        Assert.Equal(1, holds.Granted);
    }

    [Fact]
    public void Slots_that_are_on_their_way_are_counted_on_until_they_are_overdue()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        var heard = Ask("a", Start, [Ticket(TrafficClass.High), Waits()]).Queue!.Sequence;
        Assert.Equal(SlotVerdict.TooLate, Assert.Single(Ask("a", Start + 1, [Waits()], heard: heard, pending: 1).Queue!.Answers).Verdict);
        heard = Ask("a", Start + 2, [], heard: heard + 1, pending: 1).Queue!.Sequence;
        _ledger.Coming = (4, Start + 1_000, Start + 1_600);
        Assert.Empty(Ask("a", Start + 3, [Waits()], heard: heard, pending: 1).Queue!.Answers);
        Assert.Equal([0, 2, 0], _ledger.Waiting);

        // When they are overdue nobody is given up for that, and newcomers count on them until nobody does.
        Assert.Empty(Ask("a", Start + 1_001, [Waits() with { ServiceMs = 500 }], heard: heard, pending: 1).Queue!.Answers);
        Assert.Equal([0, 3, 0], _ledger.Waiting);
        Assert.Equal(SlotVerdict.TooLate, Assert.Single(Ask("a", Start + 1_601, [Waits()], heard: heard, pending: 1).Queue!.Answers).Verdict);

        SlotTicket Waits() => new(++_ticket, new("t"), 1, TrafficClass.Medium, Start + 5_000, 8_000);
    }

    [Fact]
    public void Nobody_is_given_up_for_one_that_comes_in_the_same_message_while_slots_are_free_or_because_of_one_whose_time_is_over()
    {
        _ledger.SetCapacity(16, keepsHeadroom: false, 2_000);
        var answers = Ask("a", Start, [.. Enumerable.Range(0, 20).Select(_ => Waits(40_000, 90_000)), Waits(1_000, 90_000)]).Queue!.Answers;
        Assert.Equal(16, answers.Count(static answer => answer.Verdict == SlotVerdict.Called));
        Assert.Equal(16, answers.Length);
        Assert.Equal([0, 5, 0], _ledger.Waiting);

        _ledger = new(EscrowOptions.Slots(60_000), 1);
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        _queues.Clear();
        var heard = Ask("a", Start, [Ticket(TrafficClass.High), Waits(800, 500), Waits(4_000, 5_000)]).Queue!.Sequence;
        answers = Ask("a", Start + 600, [Waits(100, 5_000)], heard: heard, pending: 1).Queue!.Answers;
        Assert.Equal((3L, SlotVerdict.Expired), (Assert.Single(answers).Ticket - 20, answers[0].Verdict));

        SlotTicket Waits(int serviceMs, long after) => new(++_ticket, new("t"), 1, TrafficClass.Medium, Start + after, serviceMs);
    }

    [Fact]
    public void Silos_are_told_what_those_who_wait_take_by_tenant_class_and_length()
    {
        _ledger.SetCapacity(1, keepsHeadroom: false, 100);
        Assert.Equal([0, 0, 0], Ask("a", Start, [Ticket(TrafficClass.High)]).Queue!.WorkMs);
        var told = Ask("a", Start + 1, [Waits("t", TrafficClass.Medium, 100), Waits("t", TrafficClass.Medium, 120), Waits("t", TrafficClass.Medium, 5_000), Waits("u", TrafficClass.Low, 0)]).Queue!;
        Assert.Equal([0, 5_220, 1], told.WorkMs);
        Assert.Equal(
            [new(new("t"), 1, TrafficClass.Medium, 6, 220), new(new("t"), 1, TrafficClass.Medium, 12, 5_000), new(new("u"), 1, TrafficClass.Low, 0, 1)],
            told.Work);

        // Of many tenants those with most are told, and not of all of them by length.
        told = Ask("a", Start + 2, [.. Enumerable.Range(0, 400).Select(i => Waits($"v{i % 50}", TrafficClass.High, 1 << (i / 50)))]).Queue!;
        Assert.Equal((32, 64 + 24), (told.Tenants.Length, told.Work.Length));
        Assert.Equal(32 * 255, told.Work.Sum(static part => part.WorkMs));
        Assert.All(told.Work[64..], static part => Assert.Equal((0, 255L), (part.Length, part.WorkMs)));
        Assert.Equal(50 * 255, told.WorkMs[0]);

        SlotTicket Waits(string tenant, TrafficClass trafficClass, int serviceMs) => new(++_ticket, new(tenant), 1, trafficClass, Start + 100_000_000, serviceMs);
    }

    private SlotTicket LateMedium(long now) => new(++_ticket, new("t"), 1, TrafficClass.Medium, now + 110, 400);

    [Fact]
    public void While_every_call_is_cut_off_the_limit_does_not_grow()
    {
        _ledger.SetCapacity(20, keepsHeadroom: false, 1_000);
        var now = Start;
        Seconds(300, answered: 20, ms: 1_000, cutOff: 0);
        Assert.Equal(20, _ledger.Limit);
        Seconds(60, answered: 2, ms: 2_200, cutOff: 0);
        var inflated = _ledger.Limit;
        Assert.InRange(inflated, 1, 15);
        Seconds(300, answered: 0, ms: 0, cutOff: 2);
        Assert.InRange(_ledger.Limit, 1, inflated);

        void Seconds(int seconds, int answered, long ms, int cutOff)
        {
            for (var i = 0; i < seconds; i++)
            {
                now += 1_000;
                _ledger.Report(
                    new() { Holder = "a", LeaseId = 1, Pending = 20, Wanted = 20 },
                    new() { Completions = answered + cutOff, Predictions = answered, Whole = answered, AnsweredMilliseconds = answered * ms, ExpectedMilliseconds = answered * 1_000, Queue = new() { Queue = 1 } },
                    now);
            }
        }
    }

    [Fact]
    public void A_trace_of_throttling_does_not_lower_the_limit()
    {
        _ledger.SetCapacity(100, keepsHeadroom: false, 100);
        for (var second = 0; second < 600; second++)
        {
            _ledger.Report(
                new() { Holder = "a", LeaseId = 1 },
                new() { Completions = 1_000, Predictions = 997, Throttled = 3, Whole = 997, AnsweredMilliseconds = 99_700, ExpectedMilliseconds = 99_700, Queue = new() { Queue = 1 } },
                Start + (second * 1_000));
        }

        Assert.Equal(100, _ledger.Limit);
    }

    [Fact]
    public void Throttling_lowers_the_limit_below_the_slots()
    {
        _ledger.SetCapacity(10, keepsHeadroom: false, 100);
        for (var second = 0; second < 60; second++)
        {
            _ledger.Report(
                new() { Holder = "a", LeaseId = 1 },
                new() { Completions = 100, Predictions = 50, Whole = 50, Throttled = 50, AnsweredMilliseconds = 5_000, ExpectedMilliseconds = 5_000, Queue = new() { Queue = 1 } },
                Start + (second * 1_000));
        }

        Assert.InRange(_ledger.Limit, 1, 7);
        Assert.Contains("throttled", _ledger.Demand.LimitReason, StringComparison.Ordinal);
    }

    private SlotTicket Ticket(TrafficClass trafficClass, long deadline = Start + 100_000_000) => new(++_ticket, new("t"), 1, trafficClass, deadline, 100);

    private LeaseGrant Ask(string holder, long now, ImmutableArray<SlotTicket> joined, long heard = 0, long returned = 0, long pending = 0, long leaseId = 1, int high = 0)
    {
        var grant = _ledger.Report(
            new() { Holder = holder, LeaseId = leaseId, Returned = returned, Pending = pending },
            new() { Queue = new() { Queue = _queues.GetValueOrDefault(holder), Heard = heard, Joined = joined, HighInFlight = high } },
            now);
        _queues[holder] = grant.Queue!.Queue;
        return grant;
    }
}
