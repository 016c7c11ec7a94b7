using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

/// <summary>Capacity where the classes are told apart, where work is deferred, and where requests could go elsewhere.</summary>
public sealed class CapacityByClassTests
{
    private const long Poll = 5_000;
    private const int Concurrency = 8;

    private static readonly EndpointDefinition Endpoint = new()
    {
        Name = new("e"),
        Lane = Lane.Realtime,
        MinInstances = 0,
        MaxInstances = 50,
        ConcurrencyPerInstance = Concurrency,
        Prior = new() { ServiceP50Seconds = 1, ServiceP99Seconds = 1, ColdStartSeconds = 240 },
    };

    /// <summary>The instances that a plan comes to under a steady load of requests of a second.</summary>
    private static int Steady(Func<CapacityObservation, CapacityObservation> told, double perSecond = 40, CapacityPlanOptions? options = null)
    {
        var plan = new CapacityPlan(options: options);
        var arrivals = (int)(perSecond * Poll / 1000);
        for (var now = 1_000_000L; now < 10_000_000; now += Poll)
        {
            plan.Observe(Endpoint, told(new()
            {
                Now = now,
                InService = plan.Desired,
                InFlight = (int)perSecond,
                Arrivals = arrivals,
                Completions = arrivals,
                BusyMs = arrivals * 1000L,
                ArrivedWorkMs = arrivals * 1000,
            }));
        }

        return plan.Desired;
    }

    private static CapacityObservation Patient(CapacityObservation seen) => seen with { UrgentArrivals = 0, PatientWaitMs = 3_600_000 };

    [Fact]
    public void Requests_that_can_wait_need_slots_for_their_load_and_no_more()
    {
        var alike = Steady(static seen => seen);
        Assert.Equal(40 / Concurrency, Steady(Patient));
        Assert.True(alike > 40 / Concurrency, $"{alike} instances keep the wait of urgent requests short.");
        Assert.InRange(Steady(static seen => seen with { UrgentArrivals = seen.Arrivals, UrgentCompletions = seen.Completions, UrgentBusyMs = seen.BusyMs, UrgentWaitMs = 2000, PatientWaitMs = 3_600_000 }), 6, alike);
    }

    /// <summary>What is asked for when a load of requests that can wait five minutes grows fourfold, and what is kept before it. More than four times would be bounded by how much may be asked for at once.</summary>
    private static (int Before, int Asked) Grown(bool oneChangeAtATime)
    {
        var plan = new CapacityPlan();
        for (var now = 1_000_000L; now < 20_000_000; now += Poll)
        {
            var arrivals = now < 10_000_000 ? 40 : 160;
            var before = plan.Desired;
            var decision = plan.Observe(Endpoint, new()
            {
                Now = now,
                InService = plan.Desired,
                InFlight = arrivals / 5,
                Arrivals = arrivals,
                Completions = arrivals,
                BusyMs = arrivals * 1000L,
                ArrivedWorkMs = arrivals * 1000,
                UrgentArrivals = 0,
                PatientWaitMs = 300_000,
                OneChangeAtATime = oneChangeAtATime,
            });
            if (now >= 10_000_000 && decision.HasChanged)
            {
                return (before, decision.Desired);
            }
        }

        return (plan.Desired, plan.Desired);
    }

    [Fact]
    public void A_change_that_lets_no_other_begin_asks_for_what_may_come_until_the_next()
    {
        var (alone, several) = (Grown(oneChangeAtATime: true), Grown(oneChangeAtATime: false));
        Assert.InRange(alone.Before, 1, several.Before);
        Assert.True(alone.Asked > several.Asked, $"{alone} against {several}");
    }

    /// <summary>The plan after a load of High, of requests of a second, in spans of some time at some rate.</summary>
    private static CapacityPlan Urgent(params (int Seconds, int PerSecond)[] spans) => Urgent(1, spans);

    private static CapacityPlan Urgent(int minInstances, (int Seconds, int PerSecond)[] spans)
    {
        var plan = new CapacityPlan();
        var endpoint = Endpoint with { MinInstances = minInstances };
        var now = 1_000_000L;
        foreach (var (seconds, perSecond) in spans)
        {
            for (var end = now + (seconds * 1000L); now < end; now += Poll)
            {
                var arrivals = (int)(perSecond * Poll / 1000);
                plan.Observe(endpoint, new()
                {
                    Now = now,
                    InService = plan.Desired,
                    InFlight = perSecond,
                    Arrivals = arrivals,
                    Completions = arrivals,
                    BusyMs = arrivals * 1000L,
                    ArrivedWorkMs = arrivals * 1000,
                    UrgentArrivals = arrivals,
                    UrgentCompletions = arrivals,
                    UrgentBusyMs = arrivals * 1000L,
                    UrgentWaitMs = 2000,
                });
            }
        }

        return plan;
    }

    [Fact]
    public void A_burst_is_asked_for_within_seconds()
    {
        // Twenty-five instances it takes, and a minute shows a third of it.
        Assert.InRange(Urgent((3_600, 2), (25, 200)).Desired, 20, 50);
    }

    [Fact]
    public void What_has_been_there_for_long_is_kept_for_while_it_pauses()
    {
        Assert.InRange(Urgent((4 * 3_600, 80), (600, 0)).Desired, 8, 10);
        Assert.InRange(Urgent((4 * 3_600, 80), (6 * 3_600, 0)).Desired, 1, 1);
    }

    [Fact]
    public void Two_thirds_of_a_burst_are_kept_for_when_it_is_over_and_less_and_less_within_hours()
    {
        // Ten instances' worth for ten minutes.
        Assert.InRange(Urgent((4 * 3_600, 0), (600, 80), (1_800, 0)).Desired, 5, 7);
        Assert.InRange(Urgent((4 * 3_600, 0), (600, 80), (3 * 3_600, 0)).Desired, 1, 2);
        Assert.InRange(Urgent((4 * 3_600, 0), (600, 80), (6 * 3_600, 0)).Desired, 1, 1);

        // Where an endpoint may go down to zero it does when nobody is likely to come, whatever is left of the burst.
        Assert.InRange(Urgent(1, [(4 * 3_600, 0), (600, 800), (4 * 3_600, 0)]).Desired, 3, 10);
        Assert.Equal(0, Urgent(0, [(4 * 3_600, 0), (600, 800), (4 * 3_600, 0)]).Desired);
    }

    [Fact]
    public void What_pauses_is_kept_as_it_was_measured_and_never_grows()
    {
        // Where next to nothing has been measured of late the service time is believed to be what the catalog says, here a minute.
        var plan = new CapacityPlan();
        var endpoint = Endpoint with { MinInstances = 1, Prior = new() { ServiceP50Seconds = 60, ServiceP99Seconds = 60, ColdStartSeconds = 240 } };
        var before = int.MaxValue;
        for (var now = 1_000_000L; now < 40_000_000; now += Poll)
        {
            var arrivals = now < 15_000_000 ? 100 : 0;
            plan.Observe(endpoint, new() { Now = now, InService = plan.Desired, InFlight = arrivals / 10, Arrivals = arrivals, Completions = arrivals, BusyMs = arrivals * 500L, ArrivedWorkMs = arrivals * 500, UrgentArrivals = arrivals, UrgentCompletions = arrivals, UrgentBusyMs = arrivals * 500L, UrgentWaitMs = 2000 });
            if (now > 15_300_000)
            {
                Assert.InRange(plan.Desired, 1, before);
                before = plan.Desired;
            }
        }

        Assert.Equal(1, plan.Desired);
    }

    [Fact]
    public void One_in_ten_of_High_may_be_late_at_a_rate_that_is_hardly_exceeded_and_one_in_a_hundred_at_what_is_expected()
    {
        var ahead = Urgent((4 * 3_600, 200)).Outlook;
        int Slots(double rate, double lateShare) => Staffing.Slots(rate, ahead.Peakedness, new(0.8 * 2, lateShare), 400);
        Assert.Equal(Math.Max(Slots(ahead.Rate, 0.01), Slots(ahead.HighRate, 0.1)), ahead.Slots);
        Assert.True(Slots(ahead.HighRate, 0.01) > ahead.Slots, $"{ahead}");
    }

    [Fact]
    public void Idle_instances_go_sooner_where_most_of_what_a_start_delays_can_wait()
    {
        static long KeptMs(Func<CapacityObservation, CapacityObservation> told)
        {
            var plan = new CapacityPlan();
            plan.Begin(10);
            var now = 1_000_000L;
            for (; plan.Desired == 10; now += Poll)
            {
                plan.Observe(Endpoint, told(new() { Now = now, InService = 10 }));
            }

            return now - 1_000_000;
        }

        Assert.InRange(KeptMs(static seen => seen), 240_000, 260_000);
        Assert.InRange(KeptMs(Patient), 60_000, 80_000);
    }

    [Fact]
    public void Deferred_work_gets_whole_instances_only_that_it_keeps_busy()
    {
        int With(double slots) => Steady(seen => Patient(seen) with { DeferredSlots = slots });

        // One that is there goes when it would be idle half the time.
        Assert.Equal(5, With(2));
        Assert.Equal(6, With(9));
        Assert.Equal(10, With(40.5));
    }

    [Fact]
    public void Deferred_work_is_done_sooner_where_its_slots_stand_by_for_a_burst()
    {
        static int After(bool hadBurst, double deferred)
        {
            var plan = new CapacityPlan();
            for (var now = 1_000_000L; now < 8_000_000; now += Poll)
            {
                // A burst of eighty slots for ten minutes, and sixteen again.
                var arrivals = hadBurst && now is > 4_000_000 and < 4_600_000 ? 400 : 75;
                plan.Observe(Endpoint, new()
                {
                    Now = now,
                    InService = plan.Desired,
                    InFlight = Math.Min(arrivals / 5, plan.Desired * Concurrency),
                    Arrivals = arrivals,
                    Completions = arrivals,
                    BusyMs = arrivals * 1000L,
                    ArrivedWorkMs = arrivals * 1000,
                    UrgentArrivals = 0,
                    PatientWaitMs = 3_600_000,
                    DeferredSlots = deferred,
                });
            }

            return plan.Desired;
        }

        Assert.Equal(2, After(hadBurst: true, deferred: 0));
        Assert.Equal(3, After(hadBurst: false, deferred: 12));
        Assert.Equal(4, After(hadBurst: true, deferred: 12));
        Assert.Equal(6, After(hadBurst: false, deferred: 40));

        // And no more than the burst asks for, of which half has faded.
        Assert.Equal(7, After(hadBurst: true, deferred: 40));
    }

    [Fact]
    public void Deferred_work_that_is_due_is_begun_though_it_fills_no_instance()
    {
        // Requests that come unforeseen are served elsewhere; else one instance is kept for them.
        var plan = new CapacityPlan();
        Assert.Equal(0, plan.Observe(Endpoint, new() { Now = 1_000_000, UrgentArrivals = 0, PatientWaitMs = 3_600_000, SpillRatio = 1, DeferredSlots = 0.1 }).Desired);
        Assert.Equal(1, plan.Observe(Endpoint, new() { Now = 1_020_000, UrgentArrivals = 0, PatientWaitMs = 3_600_000, SpillRatio = 1, DeferredSlots = 0.1, DeferredIsDue = true }).Desired);
        for (var now = 1_025_000L; now <= 3_600_000; now += Poll)
        {
            plan.Observe(Endpoint, new() { Now = now, InService = now < 1_260_000 ? 0 : plan.Desired, UrgentArrivals = 0, PatientWaitMs = 3_600_000, SpillRatio = 1 });
        }

        Assert.Equal(0, plan.Desired);
    }

    [Fact]
    public void An_instance_is_worth_having_if_it_does_more_than_its_price_does_elsewhere()
    {
        int At(double ratio) => Steady(seen => Patient(seen) with { SpillRatio = ratio });

        // 40 slots of load fill five instances; half the price elsewhere is no reason for any.
        Assert.Equal(0, At(0.5));
        Assert.Equal(5, At(1.5));
        int Urgent(double ratio, double perSecond) => Steady(seen => seen with { UrgentArrivals = seen.Arrivals, UrgentCompletions = seen.Completions, UrgentBusyMs = seen.BusyMs, UrgentWaitMs = 100, PatientWaitMs = 100, SpillRatio = ratio }, perSecond);
        Assert.Equal(0, Urgent(4, 1));
        Assert.Equal(1, Urgent(20, 1));
    }

    [Fact]
    public void Who_waits_is_served_also_where_no_instance_is_worth_having()
    {
        var plan = new CapacityPlan();
        var idle = new CapacityObservation { Now = 1_000_000, UrgentArrivals = 0, PatientWaitMs = 300_000, SpillRatio = 0.1 };
        Assert.Equal(0, plan.Observe(Endpoint, idle).Desired);
        Assert.Equal(1, plan.Observe(Endpoint, idle with { Now = 1_005_000, Waiting = 2, WaitingWorkMs = 4_000 }).Desired);
    }

    [Fact]
    public void A_burst_of_long_requests_is_seen_by_their_work_and_not_by_their_number()
    {
        var plan = new CapacityPlan();
        var now = 1_000_000L;
        for (; now < 4_000_000; now += Poll)
        {
            plan.Observe(Endpoint, new() { Now = now, InService = plan.Desired, InFlight = 8, Arrivals = 40, Completions = 40, BusyMs = 40_000, ArrivedWorkMs = 40_000, UrgentArrivals = 0, PatientWaitMs = 300_000 });
        }

        var before = plan.Desired;
        for (var until = now + 60_000; now < until; now += Poll)
        {
            // Ten more a look, each of forty seconds: eighty slots.
            plan.Observe(Endpoint, new() { Now = now, InService = before, InFlight = 8 * before, Arrivals = 50, Completions = 40, BusyMs = 40_000, ArrivedWorkMs = 440_000, UrgentArrivals = 0, PatientWaitMs = 300_000, Waiting = 100, WaitingWorkMs = 2_000_000 });
        }

        Assert.True(plan.Desired >= 5 * before, $"{before} → {plan.Desired}");
    }

    [Fact]
    public void Without_ski_rental_what_is_not_needed_goes_at_once()
    {
        int After(CapacityPlanOptions options)
        {
            var plan = new CapacityPlan(new() { Desired = 10, At = 1_000_000, ChangedAt = 1 }, options);
            for (var now = 1_005_000L; now < 1_150_000; now += Poll)
            {
                plan.Observe(Endpoint, new() { Now = now, InService = plan.Desired });
            }

            return plan.Desired;
        }

        Assert.Equal(10, After(CapacityPlanOptions.Default));
        Assert.True(After(new() { KeepsIdle = false }) < 5);
    }
}
