using System.Text.Json;
using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class CapacityPlanTests
{
    private const long Poll = 5_000;
    private const long ColdStartMs = 180_000;

    private static EndpointDefinition Endpoint(int least, int most, int concurrency = 4, Lane lane = Lane.Async) => new()
    {
        Name = new("e"),
        Lane = lane,
        MinInstances = least,
        MaxInstances = most,
        ConcurrencyPerInstance = concurrency,
        Prior = new() { ServiceP50Seconds = 5, ServiceP99Seconds = 5, ColdStartSeconds = ColdStartMs / 1000 },
    };

    [Fact]
    public void Nothing_in_service_ends_with_the_first_that_waits_and_begins_again_when_a_start_is_worth_no_more_than_what_was_idle()
    {
        var plan = new CapacityPlan();
        var endpoint = Endpoint(0, 4);
        Assert.Equal(0, plan.Observe(endpoint, new() { Now = 1_000 }).Desired);
        var woken = plan.Observe(endpoint, new() { Now = 6_000, Waiting = 1, Arrivals = 1 });
        Assert.Equal((1, true), (woken.Desired, woken.HasChanged));
        Assert.Contains("1 requests wait", woken.Reason, StringComparison.Ordinal);

        var now = 6_000L + ColdStartMs;
        Assert.Equal(1, plan.Observe(endpoint, new() { Now = now, InService = 1, Waiting = 1 }).Desired);
        var idleFrom = now += Poll;
        while (plan.Observe(endpoint, new() { Now = now, InService = 1, Completions = now == idleFrom ? 1 : 0 }).Desired == 1)
        {
            Assert.True(now - idleFrom < 3_600_000, "It is never released.");
            now += Poll;
        }

        // Who came is expected to come again, for a while.
        Assert.InRange(now - idleFrom, ColdStartMs, ColdStartMs + 120_000);
        Assert.Equal(0, plan.Desired);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0)]
    public void A_backlog_of_jobs_is_worked_off_by_what_they_take_whatever_was_told_of_them(int toldSeconds)
    {
        // A thousand jobs of a minute come in a minute, and are told to take a second, or nothing.
        const int Jobs = 1_000, ServiceMs = 60_000;
        var plan = new CapacityPlan();
        var endpoint = Endpoint(0, 60, lane: Lane.Async);
        var (now, left) = (1_000_000L, 0);
        plan.Observe(endpoint, new() { Now = now, UrgentArrivals = 0 });
        for (var i = 0; i < 12 || left > 0; i++)
        {
            // A hundred slots would take ten minutes.
            Assert.True(i * Poll < 600_000, $"{left} jobs are left, and {plan.Desired} instances are wanted.");
            now += Poll;
            var come = i < 12 ? Jobs / 12 : 0;
            var ended = Math.Min(left, (int)(plan.Desired * endpoint.ConcurrencyPerInstance * Poll / ServiceMs));
            left += come - ended;
            plan.Observe(endpoint, new() { Now = now, InService = plan.Desired, Waiting = left, Arrivals = come, Completions = ended, ArrivedWorkMs = come * toldSeconds * 1_000, UrgentArrivals = 0, DrainMs = 600_000 });
        }
    }

    [Theory]
    [InlineData(Lane.Async, false)]
    [InlineData(Lane.Realtime, false)]
    [InlineData(Lane.Realtime, true)]
    public void What_may_go_down_to_nothing_does_within_the_hour_once_nobody_comes(Lane lane, bool toldApart)
    {
        var (now, end) = (1_000_000L, 1_000_000L + 1_800_000);
        var plan = new CapacityPlan();
        var endpoint = Endpoint(0, 4, lane: lane);
        while (plan.Desired > 0 || now < end)
        {
            Assert.True(now - end < 3_600_000, $"{plan.Desired} after an hour without requests.");
            var come = now < end ? 5 : 0;
            plan.Observe(endpoint, new()
            {
                Now = now,
                InService = plan.Desired,
                InFlight = lane == Lane.Async ? 0 : come,
                Arrivals = come,
                Completions = come,
                BusyMs = come * 5_000,
                ArrivedWorkMs = toldApart ? come * 5_000 : 0,
                UrgentArrivals = toldApart ? come / 2 : null,
                UrgentCompletions = toldApart ? come / 2 : 0,
                UrgentBusyMs = toldApart ? come / 2 * 5_000 : 0,
                UrgentWaitMs = toldApart ? 2_000 : 0,
                PatientWaitMs = toldApart ? 300_000 : 0,
            });
            Assert.True(now >= end || now < 1_300_000 || plan.Desired > 0, "Requests come, and there is nothing for them.");
            now += Poll;
        }
    }

    [Fact]
    public void What_may_go_down_to_nothing_does_not_while_calls_are_in_flight_now_and_then()
    {
        // A call of eight seconds every ten, and a start of five: it is idle at every other look.
        var plan = new CapacityPlan();
        var endpoint = Endpoint(0, 4, lane: Lane.Realtime) with { Prior = new() { ServiceP50Seconds = 8, ServiceP99Seconds = 8, ColdStartSeconds = 5 } };
        var (changes, now) = (0, 1_000_000L);
        for (; now < 1_000_000L + 7_200_000; now += Poll)
        {
            var comes = now / Poll % 2 == 0;
            changes += plan.Observe(endpoint, new() { Now = now, InService = plan.Desired, InFlight = comes ? 1 : 0, Arrivals = comes ? 1 : 0, Completions = comes ? 0 : 1, BusyMs = comes ? 0 : 8_000 }).HasChanged ? 1 : 0;
        }

        Assert.Equal(1, plan.Desired);
        Assert.InRange(changes, 1, 3);
    }

    [Fact]
    public void Out_waits_between_steps_which_are_bounded()
    {
        var plan = new CapacityPlan(new() { Desired = 1 });
        var endpoint = Endpoint(1, 100, lane: Lane.Realtime);
        Assert.Equal(8, plan.Observe(endpoint, new() { Now = 100_000, InService = 1, Waiting = 40_000 }).Desired);
        Assert.False(plan.Observe(endpoint, new() { Now = 100_500, InService = 1, Waiting = 40_000 }).HasChanged);
        Assert.Equal(32, plan.Observe(endpoint, new() { Now = 100_000 + CapacityPlan.CooldownMs, InService = 1, Waiting = 40_000 }).Desired);
    }

    [Fact]
    public void In_goes_to_the_most_that_was_needed_while_keeping_was_worth_it()
    {
        // Hold the break-even: idle times have taught nothing yet.
        var plan = new CapacityPlan(new() { Desired = 10 });
        var endpoint = Endpoint(1, 10, concurrency: 1, lane: Lane.Realtime);
        var now = 1_000_000L;
        for (var until = now + 1_200_000; now <= until; now += Poll)
        {
            plan.Observe(endpoint, new() { Now = now, InService = plan.Desired, InFlight = 2 });
        }

        Assert.InRange(plan.Desired, Staffing.Slots(2, 1, WaitTarget.Default, 10), 7);
    }

    [Fact]
    public void A_backlog_that_may_wait_is_worked_off_in_its_time_and_not_at_once()
    {
        // 400 jobs of 5 s by 4 at a time: a hundred instances would do it at once, in 300 s less the start it takes 400 × 5 / 120 = 17 slots.
        var endpoint = Endpoint(0, 100);
        var seen = new CapacityObservation { Now = 1_000_000, Waiting = 400 };
        var plan = new CapacityPlan();
        Assert.Equal(4, plan.Observe(endpoint, seen).Desired);
        Assert.Equal(5, plan.Outlook.Instances);

        // In an hour less the start, 0.6 slots.
        var patient = new CapacityPlan();
        Assert.Equal(1, patient.Observe(endpoint, seen with { DrainMs = 3_600_000 }).Desired);

        // What time is left is less as it passes.
        plan.Observe(endpoint, seen with { Now = 1_100_000 });
        Assert.True(plan.Outlook.Instances > 5);

        // The same number of requests of a person each is not put off.
        var urgent = new CapacityPlan(new() { Desired = 1 });
        urgent.Observe(endpoint with { Lane = Lane.Realtime, MinInstances = 1 }, seen with { InService = 1, InFlight = 4, Waiting = 396, DrainMs = 3_600_000 });
        Assert.True(urgent.Outlook.Instances > patient.Outlook.Instances);
    }

    [Fact]
    public void The_time_that_instances_take_to_come_is_measured_and_looked_ahead()
    {
        var endpoint = Endpoint(1, 10, lane: Lane.Realtime);
        var plan = new CapacityPlan(new() { Desired = 1 });
        var now = 1_000_000L;
        plan.Observe(endpoint, new() { Now = now, InService = 1 });
        Assert.Equal(ColdStartMs, plan.Outlook.LeadMs);

        // Longer than believed: what has not come yet says so.
        for (var waited = 0L; waited < 400_000; waited += Poll)
        {
            plan.Observe(endpoint, new() { Now = now += Poll, InService = 1, Reported = 3 });
        }

        Assert.InRange(plan.Outlook.LeadMs, 390_000, 400_000);
        plan.Observe(endpoint, new() { Now = now += Poll, InService = 3, Reported = 3 });
        Assert.InRange(plan.Outlook.LeadMs, 395_000, 405_000);
        var restored = new CapacityPlan(Stored(plan.ToState()));
        restored.Observe(endpoint, new() { Now = now += Poll, InService = 3, Reported = 3 });
        Assert.InRange(restored.Outlook.LeadMs, 395_000, 405_000);
    }

    [Fact]
    public void What_somebody_else_changed_is_left_alone_for_a_while_and_longer_if_they_go_on()
    {
        var endpoint = Endpoint(1, 20, concurrency: 1, lane: Lane.Realtime);
        var plan = new CapacityPlan(new() { Desired = 2 });
        var now = 10_000_000L;
        plan.Observe(endpoint, new() { Now = now, InService = 2 });
        foreach (var aloneMs in (long[])[CapacityPlan.AdoptionMs, 2 * CapacityPlan.AdoptionMs, 4 * CapacityPlan.AdoptionMs])
        {
            var from = now;
            plan.Adopt(now, 12);
            while (plan.Observe(endpoint, new() { Now = now += Poll, InService = 12, Reported = 12 }).Desired == 12)
            {
                Assert.True(now - from < 7_200_000, "It is left alone for ever.");
            }

            Assert.True(now - from >= aloneMs, $"Left alone for {now - from} ms, not {aloneMs}");
        }

        // Out of the operator's bounds is put right at once; and people who wait are not left waiting.
        plan = new CapacityPlan(new() { Desired = 2 });
        plan.Observe(endpoint, new() { Now = now, InService = 2 });
        plan.Adopt(now, 30);
        Assert.Equal(20, plan.Observe(endpoint, new() { Now = now + Poll, InService = 2, Reported = 30 }).Desired);
        plan.Adopt(now += 10_000_000, 1);
        Assert.Equal(1, plan.Observe(endpoint, new() { Now = now + Poll, InService = 1, InFlight = 1, Waiting = 900 }).Desired);
        Assert.True(plan.Observe(endpoint, new() { Now = now + CapacityPlan.ReleaseCooldownMs, InService = 1, InFlight = 1, Waiting = 900 }).Desired > 1);
    }

    [Fact]
    public void While_nothing_can_be_changed_nothing_changes_but_all_is_learned()
    {
        var endpoint = Endpoint(1, 20, lane: Lane.Realtime);
        var plan = new CapacityPlan(new() { Desired = 1 });
        var now = 1_000_000L;
        for (var i = 0; i < 60; i++)
        {
            var decision = plan.Observe(endpoint, new() { Now = now += Poll, InService = 1, InFlight = 4, Waiting = 50, Arrivals = 50, Hold = "it is updating" });
            Assert.Equal((1, false, "it is updating"), (decision.Desired, decision.HasChanged, decision.Reason));
        }

        Assert.True(plan.Outlook.Instances > 10);
        Assert.InRange(plan.Outlook.Rate, 9, 11);
        Assert.Equal(8, plan.Observe(endpoint, new() { Now = now + Poll, InService = 1, InFlight = 4, Waiting = 50, Arrivals = 50 }).Desired);
    }

    [Fact]
    public void What_an_earlier_release_stored_is_a_beginning()
    {
        var stored = JsonSerializer.Deserialize<CapacityPlanState>("""{"desired":3,"changedAt":900000,"busy":2.5,"at":999000,"peak":2,"idleSince":950000}""");
        var plan = new CapacityPlan(stored);
        Assert.False(plan.IsNew);
        Assert.Equal(3, plan.Observe(Endpoint(1, 5, lane: Lane.Realtime), new() { Now = 1_000_000, InService = 3, InFlight = 2 }).Desired);
        Assert.True(new CapacityPlan().IsNew);
        Assert.InRange(JsonSerializer.Serialize(plan.ToState()).Length, 100, 4_000);
    }

    [Property(MaxTest = 300)]
    public void Bounds_steps_and_times_between_changes_hold_on_any_history(int seed)
    {
        var random = new Random(seed);
        var lane = random.Next(2) == 0 ? Lane.Async : Lane.Realtime;
        var least = random.Next(lane == Lane.Async ? 0 : 1, 4);
        var endpoint = Endpoint(least, least + random.Next(0, 40), random.Next(1, 9), lane);
        var plan = new CapacityPlan(new() { Desired = least });
        var (now, inService, changedAt, outAt) = (random.NextInt64(1, 2_000_000_000_000), least, 0L, 0L);
        for (var i = 0; i < 400; i++)
        {
            now += random.Next(20) == 0 ? random.NextInt64(2_000_000) : random.NextInt64(10_000);
            if (random.Next(10) == 0)
            {
                plan = new(Stored(plan.ToState()));
            }

            var before = plan.Desired;
            var busy = random.Next(3) * random.Next(200);
            var hold = random.Next(15) == 0 ? "hold" : null;
            var decision = plan.Observe(endpoint, new()
            {
                Now = now,
                InService = inService,
                InFlight = Math.Min(busy, inService * endpoint.ConcurrencyPerInstance),
                Waiting = random.Next(3) == 0 ? random.Next(300) : 0,
                Deferrable = random.Next(50),
                Arrivals = random.Next(50),
                Completions = random.Next(50),
                Throttled = random.Next(5),
                BusyMs = random.Next(100_000),
                Hold = hold,
            });
            Assert.Equal(plan.Desired, decision.Desired);
            Assert.InRange(decision.Desired, endpoint.MinInstances, endpoint.MaxInstances);
            Assert.Equal(decision.HasChanged, decision.Desired != before);
            if (decision.HasChanged)
            {
                Assert.Null(hold);
                Assert.True(before == 0 || now - changedAt >= CapacityPlan.CooldownMs);
                Assert.True(decision.Desired <= Math.Max(before + 4, 8 * before));
                if (decision.Desired > before)
                {
                    outAt = now;
                }
                else
                {
                    Assert.True(now - changedAt >= CapacityPlan.ReleaseCooldownMs);
                    Assert.True(now - outAt >= CapacityPlan.LeastBreakEvenMs);
                    Assert.True(decision.Desired >= before - Math.Max(1, before / 2));
                }

                changedAt = now;
            }

            inService = random.Next(3) == 0 ? decision.Desired : inService;
        }
    }

    [Property(MaxTest = 200)]
    public void More_load_never_wants_fewer_instances(int seed)
    {
        var random = new Random(seed);
        var endpoint = Endpoint(1, 500, random.Next(1, 9), random.Next(2) == 0 ? Lane.Async : Lane.Realtime);
        var state = Stored(Warm(endpoint, random.Next(1, 40)).ToState());
        var seen = new CapacityObservation { Now = state.At + Poll, InService = state.Desired, InFlight = random.Next(100), Waiting = random.Next(200), Arrivals = random.Next(60) };
        var more = seen with { InFlight = seen.InFlight + random.Next(100), Waiting = seen.Waiting + random.Next(300) };
        var (little, much) = (new CapacityPlan(state), new CapacityPlan(state));
        Assert.True(little.Observe(endpoint, seen).Desired <= much.Observe(endpoint, more).Desired);
        Assert.True(little.Outlook.Instances <= much.Outlook.Instances);

        // The same of a steady load.
        var arrivals = random.Next(1, 40);
        Assert.True(Warm(endpoint, arrivals).Outlook.Instances <= Warm(endpoint, arrivals + random.Next(1, 20)).Outlook.Instances);
    }

    [Property(MaxTest = 50)]
    public void A_stored_plan_goes_on_as_if_it_had_not_been_stored(int seed)
    {
        var random = new Random(seed);
        var endpoint = Endpoint(0, 50, 2);
        var plan = new CapacityPlan();
        var now = 1_700_000_000_000L;
        for (var i = 0; i < 1_500; i++)
        {
            var seen = new CapacityObservation { Now = now += Poll, InService = plan.Desired, Waiting = random.Next(8) == 0 ? random.Next(30) : 0, Arrivals = random.Next(4), Completions = random.Next(4) };
            var restored = new CapacityPlan(Stored(plan.ToState()));
            Assert.Equal(plan.Observe(endpoint, seen), restored.Observe(endpoint, seen));
        }
    }

    private static CapacityPlan Warm(EndpointDefinition endpoint, int arrivals)
    {
        var plan = new CapacityPlan(new() { Desired = 1 });
        for (var now = 1_000_000L; now < 1_900_000; now += Poll)
        {
            plan.Observe(endpoint, new() { Now = now, InService = plan.Desired, Arrivals = arrivals, Completions = arrivals, BusyMs = arrivals * 4_000 });
        }

        return plan;
    }

    private static CapacityPlanState Stored(CapacityPlanState state) => JsonSerializer.Deserialize<CapacityPlanState>(JsonSerializer.Serialize(state))!;
}
