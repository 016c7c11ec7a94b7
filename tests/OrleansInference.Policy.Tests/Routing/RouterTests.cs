using System.Collections.Immutable;
using OrleansInference.Latency;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

public sealed class RouterTests
{
    private const long Now = RoutingCase.Now;

    private static readonly RouteRequest Request = new() { Now = Now, Deadline = Now + 3_600_000, Class = TrafficClass.High, PayloadBytes = 100, CanDefer = true };

    private static readonly TenantRouting Tenant = new() { LowBudget = [LowBudgetStep.Refuse] };

    public static TheoryData<string, DropReason> Filters => new()
    {
        { "excluded", DropReason.Excluded },
        { "draining", DropReason.Draining },
        { "breaker", DropReason.Unhealthy },
        { "lane", DropReason.Lane },
        { "quality", DropReason.Quality },
        { "streaming", DropReason.Streaming },
        { "payload", DropReason.Payload },
        { "defer", DropReason.CannotDefer },
        { "capacity", DropReason.NoCapacity },
        { "charge", DropReason.ChargeAboveMax },
    };

    [Theory]
    [MemberData(nameof(Filters))]
    public void A_candidate_that_breaks_a_rule_is_dropped_for_that_rule(string rule, DropReason expected)
    {
        // The async endpoint is the cheaper one for the operator at rest only by being all there is to the rule broken.
        var broken = Endpoint("broken", rule is "defer" ? Lane.Async : Lane.Realtime) with
        {
            Draining = rule == "draining",
            MaxPayloadBytes = rule == "payload" ? 99 : 1000,
            MaxInstances = rule == "capacity" ? 0 : 4,
            Streaming = rule != "streaming",
            Tariff = new() { PerRequest = Money.FromNanos(rule == "charge" ? 1001 : 1) },
        };
        var sound = Endpoint("sound", Lane.Serverless) with { Streaming = true, Tariff = new() { PerRequest = Money.FromNanos(1000) } };
        var table = Table((rule == "quality" ? 0.5 : 1, broken), (1, sound));
        var request = Request with
        {
            Excluded = rule == "excluded" ? 1UL : 0,
            LaneMask = rule == "lane" ? 1 << (int)Lane.Serverless : 0,
            MinQuality = rule == "quality" ? 0.6 : 0,
            Streaming = rule == "streaming",
            CanDefer = rule != "defer",
            MaxCharge = rule == "charge" ? Money.FromNanos(1000) : null,
        };

        var (decision, quotes) = Decide(table, request, Tenant, [new() { BreakerOpen = rule == "breaker" }, new() { WarmEnvironments = 1 }]);

        Assert.Equal(expected, quotes[0].Dropped);
        Assert.Equal((DecisionOutcome.Routed, 1), (decision.Outcome, decision.Chosen));
    }

    [Theory]
    [InlineData(TrafficClass.High, "realtime,async,batch,serverless", "realtime")]
    [InlineData(TrafficClass.Medium, "realtime,async,batch,serverless", "async")]
    [InlineData(TrafficClass.Low, "realtime,async,batch,serverless", "batch")]
    [InlineData(TrafficClass.Low, "realtime,async,serverless", "async")]
    [InlineData(TrafficClass.Low, "realtime,serverless", "realtime")]
    [InlineData(TrafficClass.Medium, "batch,realtime", "realtime")]
    [InlineData(TrafficClass.High, "batch,async,serverless", "serverless")]
    [InlineData(TrafficClass.High, "batch,async", null)]
    public void The_fixed_rule_takes_the_class_s_lane_or_the_next_more_urgent_one(TrafficClass trafficClass, string lanes, string? expected)
    {
        var names = lanes.Split(',');
        var table = Table([.. names.Select(name => (1.0, Endpoint(name, Enum.Parse<Lane>(name, ignoreCase: true))))]);

        var (decision, quotes) = Decide(table, Request with { Class = trafficClass, Deadline = Now + 86_400_000 }, Tenant with { Policy = RoutingPolicyKind.FixedRule });

        Assert.Equal(expected, decision.HasRoute ? names[decision.Chosen] : null);
        Assert.All(quotes.Where((_, i) => i != decision.Chosen), quote => Assert.Equal(DropReason.FixedRule, quote.Dropped));
    }

    [Fact]
    public void The_fixed_rule_keeps_its_lane_even_if_it_will_be_late()
    {
        var table = Table((1, Endpoint("slow", Lane.Realtime) with { Prior = new() { ServiceP50Seconds = 20, ServiceP99Seconds = 30 } }), (1, Endpoint("s", Lane.Serverless)));

        var (decision, _) = Decide(table, Request with { Deadline = Now + 5000 }, Tenant with { Policy = RoutingPolicyKind.FixedRule });

        Assert.Equal((DecisionOutcome.Routed, 0), (decision.Outcome, decision.Chosen));
    }

    [Fact]
    public void The_ceiling_lowers_the_class()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)), (1, Endpoint("a", Lane.Async)));

        var (decision, _) = Decide(table, Request, Tenant with { Policy = RoutingPolicyKind.FixedRule, ClassCeiling = TrafficClass.Medium });

        Assert.Equal((TrafficClass.Medium, 1), (decision.Class, decision.Chosen));
    }

    [Theory]
    [InlineData("", null, LowBudgetStep.Refuse)]
    [InlineData("Refuse", null, LowBudgetStep.Refuse)]
    [InlineData("Hold", null, LowBudgetStep.Hold)]
    [InlineData("CheaperLane,Hold", "async", LowBudgetStep.CheaperLane)]
    [InlineData("SmallerVariant,Hold", "small", LowBudgetStep.SmallerVariant)]
    [InlineData("CheaperLane,SmallerVariant,Refuse", "async", LowBudgetStep.CheaperLane)]
    [InlineData("SmallerVariant,CheaperLane,Refuse", "small", LowBudgetStep.SmallerVariant)]
    public void Low_budget_steps_are_taken_in_the_tenant_s_order(string steps, string? expected, LowBudgetStep last)
    {
        var table = Table(
            (1, Priced("realtime", Lane.Realtime, 1000)),
            (1, Priced("async", Lane.Async, 10)),
            (0.5, Priced("small", Lane.Realtime, 20)));
        var tenant = Tenant with
        {
            MaxAffordableCap = Money.FromNanos(100),
            LowBudget = [.. steps.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Enum.Parse<LowBudgetStep>)],
        };

        // The small variant stands idle at the same price to the operator; only the least charged of equals wins, so keep it busier.
        var (unlimited, _) = Decide(table, Request with { LaneMask = 1, MinQuality = 0.9 }, Tenant);
        Assert.Equal(0, unlimited.Chosen);

        var (decision, quotes) = Decide(table, Request, tenant, [default, default, new() { InFlight = 3 }]);

        Assert.Equal(last, decision.LowBudget);
        Assert.Equal(expected, decision.HasRoute ? table.Candidates[decision.Chosen].Endpoint.Name.Value : null);
        Assert.Equal(expected is null ? DecisionOutcome.BudgetShort : DecisionOutcome.Routed, decision.Outcome);
        Assert.Equal(DropReason.Budget, quotes[0].Dropped);
        if (expected is null)
        {
            // Never a sum that is there: the cheap ones were affordable, but not allowed.
            Assert.True(decision.CapNeeded > tenant.MaxAffordableCap);
            Assert.All(quotes[1..], quote => Assert.Equal(DropReason.LowBudgetPolicy, quote.Dropped));
        }
    }

    [Fact]
    public void A_free_warm_slot_is_cheaper_for_the_operator_than_a_start()
    {
        var table = Table((1, Endpoint("warm", Lane.Realtime)), (1, Endpoint("cold", Lane.Async) with { MinInstances = 0 }));

        var (decision, quotes) = Decide(table, Request, Tenant);

        Assert.Equal(0, decision.Chosen);
        Assert.Equal(0, quotes[0].MarginalCost);
        Assert.True(quotes[1].MarginalCost > 0);
        Assert.True(quotes[1].ColdStartMs > 0);
    }

    [Theory]
    [InlineData("Hold", true, "async")]
    [InlineData("CheaperLane,Hold", true, "async")]
    [InlineData("SmallerVariant,Hold", true, "small-async")]
    [InlineData("CheaperLane,SmallerVariant,Hold", true, "small-async")]
    [InlineData("Hold", false, null)]
    [InlineData("SmallerVariant,CheaperLane,Refuse", true, null)]
    public void What_is_held_is_the_best_job_at_the_quality_that_the_steps_before_it_allow(string steps, bool canDefer, string? held)
    {
        var table = Table(
            (1, Priced("realtime", Lane.Realtime, 1000)),
            (1, Priced("async", Lane.Async, 500)),
            (0.5, Priced("small-async", Lane.Async, 200)));
        var tenant = Tenant with
        {
            MaxAffordableCap = Money.FromNanos(100),
            LowBudget = [.. steps.Split(',').Select(Enum.Parse<LowBudgetStep>)],
        };

        // Both async lanes are busier, so that real-time at full quality is what is wanted.
        var (decision, _) = Decide(table, Request with { CanDefer = canDefer }, tenant, [default, new() { InFlight = 3 }, new() { InFlight = 3 }]);

        Assert.Equal(DecisionOutcome.BudgetShort, decision.Outcome);
        Assert.Equal(held, decision.Held is { } index ? table.Candidates[index].Endpoint.Name.Value : null);
    }

    [Fact]
    public void Pacing_makes_the_tenant_s_charge_count()
    {
        var table = Table((1, Priced("dear", Lane.Realtime, 1_000_000_000)), (1, Priced("cheap", Lane.Async, 1)));

        Assert.Equal(0, Decide(table, Request, Tenant).Decision.Chosen);
        Assert.Equal(1, Decide(table, Request, Tenant with { Pacing = 10 }).Decision.Chosen);
    }

    [Fact]
    public void A_caller_who_takes_no_job_gets_a_deferred_lane_only_within_its_wait()
    {
        var table = Table((1, Endpoint("a", Lane.Async)));

        Assert.Equal(0, Decide(table, Request with { CanDefer = false, InlineWaitMs = 60_000 }, Tenant).Decision.Chosen);
        Assert.Equal(DecisionOutcome.DeadlineUnreachable, Decide(table, Request with { CanDefer = false, InlineWaitMs = 600 }, Tenant).Decision.Outcome);
    }

    [Fact]
    public void Past_the_deadline_nothing_is_tried_even_by_best_effort()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));

        var (decision, _) = Decide(table, Request with { Deadline = Now }, Tenant with { BestEffort = true });

        Assert.Equal(DecisionOutcome.DeadlineUnreachable, decision.Outcome);
    }

    [Fact]
    public void Best_effort_from_a_probability_on_refuses_what_is_less_likely_to_be_in_time()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));
        var late = Request with { Deadline = Now + 480 };
        var (unlikely, quotes) = Decide(table, late, Tenant with { BestEffort = true });
        var chance = quotes[0].ProbabilityInTime;
        Assert.Equal(DecisionOutcome.BestEffort, unlikely.Outcome);
        Assert.InRange(chance, 0.01, 0.49);

        Assert.Equal(DecisionOutcome.BestEffort, Decide(table, late, Tenant with { BestEffort = true, BestEffortProbability = chance }).Decision.Outcome);
        var tenant = Tenant with { BestEffort = true, BestEffortProbability = chance + 0.001 };
        var (refused, dropped) = Decide(table, late, tenant);
        Assert.Equal((DecisionOutcome.DeadlineUnreachable, DropReason.Deadline), (refused.Outcome, dropped[0].Dropped));
        Assert.EndsWith("or lower the tenant's bestEffortProbability.", Explainer.Explain(table, late, tenant, refused, dropped, new("t")).Problem!.Message, StringComparison.Ordinal);

        // Alone it asks for nothing.
        tenant = Tenant with { BestEffortProbability = 0.001 };
        (refused, dropped) = Decide(table, late, tenant);
        Assert.Equal(DecisionOutcome.DeadlineUnreachable, refused.Outcome);
        Assert.EndsWith("or allow best effort.", Explainer.Explain(table, late, tenant, refused, dropped, new("t")).Problem!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Best_effort_from_a_probability_on_sends_one_in_sixteen_of_what_is_likelier_than_not_to_be_in_time()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));
        var late = Request with { Deadline = Now + 600 };
        var tenant = Tenant with { BestEffort = true, BestEffortProbability = 0.99 };
        Assert.InRange(Decide(table, late, tenant).Quotes[0].ProbabilityInTime, 0.5, 0.98);

        var outcomes = Enumerable.Range(0, 1_600).Select(seed => Decide(table, late with { Seed = (ulong)seed }, tenant).Decision.Outcome).ToList();

        Assert.InRange(outcomes.Count(static outcome => outcome == DecisionOutcome.Probe), 60, 140);
        Assert.All(outcomes, static outcome => Assert.True(outcome is DecisionOutcome.Probe or DecisionOutcome.DeadlineUnreachable));
    }

    [Fact]
    public void A_queue_that_will_pass_is_told_as_a_time_to_come_back()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime) with { MaxInstances = 1 }));

        var (decision, quotes) = Decide(table, Request with { Deadline = Now + 2000 }, Tenant, [new() { InFlight = 4, Waiting = 100 }]);

        Assert.Equal(DecisionOutcome.DeadlineUnreachable, decision.Outcome);
        Assert.Equal((long)Math.Ceiling(quotes[0].WaitMs), decision.RetryAfterMs);
        Assert.True(decision.RetryAfterMs > 2000);
    }

    [Fact]
    public void Lower_classes_leave_the_urgent_one_its_headroom()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));
        CandidateLoad[] almostFull = [new() { InFlight = 3 }];

        Assert.Equal(0, Decide(table, Request, Tenant, almostFull).Quotes[0].WaitMs);
        Assert.True(Decide(table, Request with { Class = TrafficClass.Medium }, Tenant, almostFull).Quotes[0].WaitMs > 0);
    }

    [Fact]
    public void Equal_replicas_share_the_load_by_seed_and_the_less_loaded_of_two_wins()
    {
        var table = Table([.. Enumerable.Range(0, 4).Select(i => (1.0, Endpoint($"r{i}", Lane.Realtime) with { ConcurrencyPerInstance = 1000 }))]);
        CandidateLoad[] loads = [new() { InFlight = 5 }, default, default, default];
        var counts = new int[4];

        for (var seed = 0UL; seed < 3000; seed++)
        {
            counts[Decide(table, Request with { Seed = seed }, Tenant, loads).Decision.Chosen]++;
        }

        Assert.Equal(0, counts[0]);
        Assert.All(counts[1..], count => Assert.InRange(count, 600, 1400));
    }

    [Fact]
    public void Too_short_spans_are_refused()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)), (1, Endpoint("a", Lane.Async)));

        Assert.Throws<ArgumentException>(() => Router.Decide(table, Request, Tenant, [], new Quote[1]));
        Assert.Throws<ArgumentException>(() => Router.Decide(table, Request, Tenant, new CandidateLoad[1], new Quote[2]));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(-3, true)]
    [InlineData(150, true)]
    [InlineData(300, false)]
    public void Jobs_sent_since_the_status_was_taken_are_ahead_in_the_async_queue(int sent, bool inTime)
    {
        var table = Table((1, Endpoint("a", Lane.Async)));

        // Four slots of about half a second a job: 150 jobs take some 20 s, 300 take 39 s.
        var (decision, quotes) = Decide(table, Request with { Deadline = Now + 30_000 }, Tenant, [new() { BacklogChange = sent }]);

        Assert.Equal(inTime ? DecisionOutcome.Routed : DecisionOutcome.DeadlineUnreachable, decision.Outcome);
        Assert.Equal(Math.Max(0, sent - 3) * table.Candidates[0].Overall.Mean / 4, quotes[0].WaitMs - RoutingOptions.Default.AsyncOverheadMs, 3);
    }

    [Theory]
    [InlineData(1, 4, 30_000, true, 0)]
    [InlineData(4, 4, 30_000, true, 2)] // Where it has all that it may have, the async one may grow,
    [InlineData(1, 1, 30_000, true, 2)]
    [InlineData(4, 4, 30_000, false, -1)] // if the caller takes a job.
    [InlineData(1, 4, 400, true, -1)]
    [InlineData(4, 4, 400, true, -1)]
    public void A_request_that_was_turned_away_for_want_of_slots_is_told_to_the_endpoint_that_may_grow(int desired, int most, long within, bool canDefer, int expected)
    {
        var endpoint = Endpoint("r", Lane.Realtime) with { MaxInstances = most };
        var table = Table((1, endpoint), (1, endpoint with { Name = new("dearer"), ConcurrencyPerInstance = 1 }), (1, Endpoint("a", Lane.Async) with { MinInstances = 0 }))
            .With([new() { Endpoint = new("r"), InService = 1, Desired = desired, Slots = 4 }, new() { Endpoint = new("dearer"), InService = most, Desired = most, Slots = most }], 2);

        // Four slots with thousands before it; half a second of service alone would be in time, but for the shortest.
        var request = Request with { Deadline = Now + within, CanDefer = canDefer, InlineWaitMs = 30_000 };
        CandidateLoad[] loads = [new() { InFlight = 4, Waiting = 5_000 }, new() { InFlight = most, Waiting = 5_000 }, new()];
        var (decision, quotes) = Decide(table, request, Tenant, loads);
        Assert.Equal(DecisionOutcome.DeadlineUnreachable, decision.Outcome);
        Assert.Equal(expected, RefusedDemand.CandidateOf(table, request, decision.SizeClass, quotes));
    }

    [Theory]
    [InlineData(200_000, 1)]
    [InlineData(900, -1)] // Storing its input and fetching its result would take too long, whatever there is.
    public void A_job_that_no_async_instance_is_there_for_in_time_is_told_to_the_async_endpoint(long within, int expected)
    {
        var async = Endpoint("a", Lane.Async) with { MinInstances = 0 };
        var table = Table((1, Endpoint("r", Lane.Realtime) with { ServesDeferred = false }), (1, async with { Prior = async.Prior with { ColdStartSeconds = 300 } }));
        var request = Request with { Deadline = Now + within, AsJob = true, CanDefer = true };
        var (decision, quotes) = Decide(table, request, Tenant, [default, default]);
        Assert.Equal((DecisionOutcome.DeadlineUnreachable, DropReason.Lane), (decision.Outcome, quotes[0].Dropped));
        Assert.Equal(expected, RefusedDemand.CandidateOf(table, request, decision.SizeClass, quotes));
    }

    [Fact]
    public void What_no_real_time_endpoint_takes_is_told_to_the_async_one_and_what_would_be_late_on_any_instance_to_nobody()
    {
        var async = Endpoint("a", Lane.Async) with { MinInstances = 0, MaxPayloadBytes = 1_000_000_000 };
        var table = Table((1, Endpoint("r", Lane.Realtime) with { MaxPayloadBytes = 6_000_000 }), (1, async with { Prior = async.Prior with { ColdStartSeconds = 300 } }));
        var request = Request with { Deadline = Now + 200_000, CanDefer = true, PayloadBytes = 20_000_000 };
        Assert.Equal((DropReason.Payload, 1), Told(table, request));

        // An idle instance is there, and does not help.
        var warm = table.With([new() { Endpoint = async.Name, InService = 1, Desired = 1, Slots = 8 }], 2);
        Assert.Equal((DropReason.Payload, -1), Told(warm, request with { Deadline = Now + 1_300 }));

        static (DropReason Dropped, int Told) Told(RoutingTable table, RouteRequest request)
        {
            var (decision, quotes) = Decide(table, request, Tenant, [default, default]);
            Assert.Equal(DecisionOutcome.DeadlineUnreachable, decision.Outcome);
            return (quotes[0].Dropped, RefusedDemand.CandidateOf(table, request, decision.SizeClass, quotes));
        }
    }

    [Theory]
    [InlineData(1, 0, 0, true)]
    [InlineData(1, 1, 0, false)]
    [InlineData(1, 0, 1, false)]
    [InlineData(0, 0, 0, false)]
    public void Who_keeps_idle_async_instances_from_going_bears_their_idle_time(int more, int inFlight, int backlog, bool bears)
    {
        var async = Endpoint("a", Lane.Async) with { MinInstances = 1 };
        var table = Table((1, async)).With([new() { Endpoint = async.Name, InService = 1 + more, Desired = 1 + more, Slots = 8, InFlight = inFlight, Backlog = backlog }], 2);
        var (_, quotes) = Decide(table, Request with { Deadline = Now + 600_000, CanDefer = true }, Tenant, [default]);
        var share = quotes[0].ServiceMs * table.Candidates[0].SlotMsCost;
        Assert.Equal(share + (bears ? RoutingOptions.Default.IdleTailMs * table.Candidates[0].InstanceMsCost : 0), quotes[0].MarginalCost, 3);
    }

    [Theory]
    [InlineData(false, 0, 3_600, 0L, 0, false)] // A slot is free: at once.
    [InlineData(false, 4, 3_600, 0L, 0, true)] // None is: put off.
    [InlineData(false, 4, 3_600, null, 1, false)] // Where that is not done, to the async lane.
    [InlineData(false, 4, 200, 0L, 0, false)] // Nor where a start of an instance and more would be too late: it waits in line.
    [InlineData(true, 0, 3_600, 0L, 0, true)] // A job waits for its turn in any case,
    [InlineData(true, 0, 200, 0L, 1, false)]
    [InlineData(true, 0, 3_600, null, 1, false)]
    [InlineData(true, 4, 3_600, 86_400_000L * 16, 1, false)] // unless so many wait that it would be too late.
    public void A_request_that_can_wait_is_put_off_where_slots_take_deferred_work(bool asJob, int inFlight, int seconds, long? work, int expected, bool isDeferred)
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)), (1, Endpoint("a", Lane.Async)));
        var request = Request with { Class = TrafficClass.Low, AsJob = asJob, Deadline = Now + (seconds * 1_000L) };

        var (decision, quotes) = Decide(table, request, Tenant, [new() { InFlight = inFlight, DeferredWorkMs = work }, default]);

        Assert.Equal((expected, isDeferred), (decision.Chosen, decision.IsDeferred));
        Assert.Equal(asJob && !isDeferred && expected == 1 && work != 86_400_000L * 16, quotes[0].Dropped == DropReason.Lane);
    }

    [Theory]
    [InlineData(null, 0, 16)]
    [InlineData(0.0, 0, 16)]
    [InlineData(6.0, 3, 4)]
    [InlineData(20.0, 0, 4)]
    public void Deferred_work_has_the_slots_that_neither_what_is_more_urgent_takes_nor_are_kept_for_it(double? high, double medium, double slots)
    {
        var endpoint = Endpoint("r", Lane.Realtime);
        var table = Table((1, endpoint)).With([new() { Endpoint = endpoint.Name, InService = 1, Desired = 1, Slots = 4, MeanHigh = high, MeanMedium = medium }], 2);
        var (_, quotes) = Decide(table, Request with { Class = TrafficClass.Low, AsJob = true, Deadline = Now + 3_600_000 }, Tenant, [new() { DeferredWorkMs = 800_000 }]);
        Assert.True(quotes[0].IsDeferred);
        Assert.Equal(800_000 / slots, quotes[0].WaitMs, 3);
    }

    [Theory]
    [InlineData(3_600_000, true)]
    [InlineData(30_000, false)]
    public void Who_waits_in_line_for_what_must_be_a_job_may_be_put_off_as_long_as_it_waits(long inlineWaitMs, bool isRouted)
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));
        var request = Request with { Class = TrafficClass.Low, AsJob = true, CanDefer = false, InlineWaitMs = inlineWaitMs };

        var (decision, _) = Decide(table, request, Tenant, [new() { DeferredWorkMs = 0 }]);

        Assert.Equal((isRouted, isRouted), (decision.HasRoute, decision.IsDeferred));
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("instance", false)]
    [InlineData("concurrency", false)]
    [InlineData("median", false)]
    [InlineData("tail", false)]
    [InlineData("batch", false)]
    [InlineData("serverless", false)]
    [InlineData("variant", false)]
    [InlineData("measured as jobs", false)]
    [InlineData("both async", true)]
    [InlineData("both real-time", true)]
    public void What_one_endpoint_has_measured_is_believed_of_another_on_the_same_instances(string difference, bool isAlike)
    {
        var first = Endpoint("first", difference is "measured as jobs" or "both async" ? Lane.Async : Lane.Realtime);
        var second = Endpoint("second", difference switch { "batch" => Lane.Batch, "serverless" => Lane.Serverless, "measured as jobs" or "both real-time" => Lane.Realtime, _ => Lane.Async });
        second = second with
        {
            InstanceType = difference == "instance" ? "ml.y" : second.InstanceType,
            ConcurrencyPerInstance = difference == "concurrency" ? 2 : second.ConcurrencyPerInstance,
            Prior = second.Prior with { ServiceP50Seconds = difference == "median" ? 0.4 : 0.5, ServiceP99Seconds = difference == "tail" ? 2 : 1 },
        };
        VariantDefinition[] variants = difference == "variant"
            ? [new() { Name = new("v"), Endpoints = [first] }, new() { Name = new("w"), Endpoints = [second] }]
            : [new() { Name = new("v"), Endpoints = [first, second] }];
        var table = RoutingTable.Build(new() { Model = new() { Name = new("m"), Variants = [.. variants] }, Version = 1, Latency = [Took(9_000, "first", 3)] });

        Assert.Equal(isAlike, table.Candidates[1].Service(3).Mean is > 8_900 and < 9_100);
        Assert.Equal(isAlike, table.Candidates[1].Overall.Mean is > 8_900 and < 9_100);
    }

    [Theory]
    [InlineData("serverless", true)]
    [InlineData("instance", true)]
    [InlineData("async", false)]
    [InlineData("variant", false)]
    public void What_a_size_takes_is_learned_from_the_variants_other_hardware(string other, bool isBelieved)
    {
        var first = Endpoint("first", other switch { "async" => Lane.Async, "instance" => Lane.Realtime, _ => Lane.Serverless }) with { InstanceType = other == "instance" ? "ml.y" : "ml.x" };
        var second = Endpoint("second", Lane.Realtime);
        VariantDefinition[] variants = other == "variant"
            ? [new() { Name = new("v"), Endpoints = [first] }, new() { Name = new("w"), Endpoints = [second] }]
            : [new() { Name = new("v"), Endpoints = [first, second] }];
        var table = RoutingTable.Build(new() { Model = new() { Name = new("m"), Variants = [.. variants] }, Version = 1, Latency = [Took(100, "first", 3), Took(8_000, "first", 9), Took(4_000, "second", 9)] });

        Assert.Equal(isBelieved, table.Candidates[1].Service(3).Mean is > 48 and < 52);
        Assert.InRange(table.Candidates[1].Service(9).Mean, 3_950, 4_050);
    }

    [Fact]
    public void A_call_that_waits_begins_while_nine_in_ten_like_it_would_still_be_in_time()
    {
        var table = Table((1, Endpoint("r", Lane.Realtime)));
        var candidate = table.Candidates[0];
        var service = candidate.Service(3);
        Assert.Equal(0.9, service.ProbabilityWithin(Now + 60_000 - candidate.LastBegin(3, Now + 60_000, Now)), 2);
        Assert.Equal(Now + 225, candidate.LastBegin(3, Now + 900, Now));

        // Nobody waits less long than the quote of its route allows.
        var lenient = RoutingTable.Build(table.Snapshot with { TargetProbability = 0.8 });
        Assert.Equal(0.8, service.ProbabilityWithin(Now + 60_000 - lenient.Candidates[0].LastBegin(3, Now + 60_000, Now)), 2);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(100_000, true)]
    [InlineData(1_000_000, false)]
    public void Where_no_instance_serves_yet_the_work_that_waits_counts_if_it_is_known(long workMs, bool isInTime)
    {
        var table = Table((1, Endpoint("r", Lane.Realtime) with { MinInstances = 0 }));

        var (decision, quotes) = Decide(table, Request with { Deadline = Now + 200_000 }, Tenant, [new() { Waiting = 4, WaitingWorkMs = workMs }]);

        Assert.Equal(isInTime, decision.HasRoute);
        Assert.Equal(workMs == 0 ? table.Candidates[0].Overall.Mean : workMs / 4.0, quotes[0].WaitMs, 6);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(8, 7)]
    public void The_last_slot_of_instances_that_are_paid_for_is_taken_before_one_is_paid_by_the_call(int slots, int inFlight)
    {
        var instance = Endpoint("instance", Lane.Realtime) with { ConcurrencyPerInstance = slots };
        var table = RoutingTable.Build(Table((1, instance), (1, Endpoint("call", Lane.Serverless))).Snapshot with
        {
            // A call costs half more than a slot that is always in use.
            InstanceSecondCosts = new Dictionary<EndpointName, Money> { [new("instance")] = Money.FromNanos(100_000 * slots), [new("call")] = Money.FromNanos(150_000) }.ToImmutableDictionary(),
        });
        var request = Request with { Class = TrafficClass.High, Deadline = Now + 2_000 };
        CandidateLoad warm = new() { WarmEnvironments = 1 };

        Assert.Equal(0, Decide(table, request, default, [new() { InFlight = inFlight }, warm]).Decision.Chosen);
        Assert.Equal(1, Decide(table, request, default, [new() { InFlight = slots }, warm]).Decision.Chosen);
    }

    [Fact]
    public void A_request_spills_over_from_the_instances_on_which_it_would_have_been_cheapest_had_they_had_a_slot()
    {
        var slow = Endpoint("slow", Lane.Realtime) with { ConcurrencyPerInstance = 80, Prior = new() { ServiceP50Seconds = 3, ServiceP99Seconds = 4, ColdStartSeconds = 60 } };
        var table = Table((1, Endpoint("busy", Lane.Realtime)), (0.5, Endpoint("lesser", Lane.Realtime)), (1, Endpoint("call", Lane.Serverless)), (1, Endpoint("later", Lane.Async)), (1, slow), (1, Endpoint("busy-too", Lane.Realtime) with { ConcurrencyPerInstance = 8 }));
        var request = new RouteRequest { Now = Now, Deadline = Now + 2_000, Class = TrafficClass.High, MinQuality = 0.9 };
        CandidateLoad full = new() { InFlight = 8, Waiting = 80 }, warm = new() { WarmEnvironments = 1 };

        // Twice as many slots make a slot cheaper. The slow one's is cheapest, but what takes too long in any case is not in want of slots.
        Assert.Equal((2, 5), Routed([full, default, warm, default, full, full], request));
        Assert.Equal((2, 4), Routed([full, default, warm, default, new() { InFlight = 80, Waiting = 800 }, full], request with { Deadline = Now + 8_000 }));

        // Where there are slots it goes there, and nothing spills over.
        Assert.Equal((0, -1), Routed([default, default, warm, default, full, full], request));

        // None is in time, and it is sent to the likeliest one, which has to start: on a slot here it would have been.
        var late = request with { Deadline = Now + 60_800 };
        CandidateLoad overrun = new() { InFlight = 8, Waiting = 800_000 }, starts = new() { InFlight = 1 };
        Assert.Equal((2, 4), Routed([overrun, default, starts, default, overrun, overrun], late, isBestEffort: true));

        // What the lane itself cuts off is not in want of slots.
        var cut = Table((1, slow with { MaxServiceSeconds = 2.5 }), (1, Endpoint("call", Lane.Serverless)));
        var (decision, quotes) = Decide(cut, late, new() { BestEffort = true }, [overrun, starts]);
        Assert.Equal((DecisionOutcome.BestEffort, 1, DropReason.LessLikely), (decision.Outcome, decision.Chosen, quotes[0].Dropped));
        Assert.Equal(-1, Spill.CandidateOf(cut, late, decision, quotes));

        (int Chosen, int Spilled) Routed(CandidateLoad[] loads, RouteRequest asked, bool isBestEffort = false)
        {
            var (routed, quoted) = Decide(table, asked, new() { BestEffort = isBestEffort }, loads);
            return (routed.Chosen, Spill.CandidateOf(table, asked, routed, quoted));
        }
    }

    /// <summary>Four hundred calls of a size that took as long each.</summary>
    private static SketchDelta Took(double milliseconds, string endpoint, int size)
    {
        var measured = new QuantileSketch();
        for (var i = 0; i < 400; i++)
        {
            measured.Add(milliseconds);
        }

        return measured.ToDelta(new(endpoint), LatencyPhase.Service, size);
    }

    private static EndpointDefinition Endpoint(string name, Lane lane) => new()
    {
        Name = new(name),
        Lane = lane,
        InstanceType = lane == Lane.Serverless ? "" : "ml.x",
        ConcurrencyPerInstance = lane == Lane.Serverless ? 1 : 4,
        MinInstances = 1,
        MaxInstances = 4,
        Prior = new() { ServiceP50Seconds = 0.5, ServiceP99Seconds = 1, ColdStartSeconds = 60 },
        WindowMaxSeconds = 600,
        Tariff = new(),
    };

    private static EndpointDefinition Priced(string name, Lane lane, long perRequest) =>
        Endpoint(name, lane) with { Tariff = new() { PerRequest = Money.FromNanos(perRequest) } };

    private static RoutingTable Table(params (double Quality, EndpointDefinition Endpoint)[] endpoints) => RoutingTable.Build(new()
    {
        Model = new()
        {
            Name = new("m"),
            Variants = [.. endpoints.Select((e, i) => new VariantDefinition { Name = new($"v{i}"), Quality = e.Quality, Endpoints = [e.Endpoint] })],
        },
        Version = 1,
        InstanceSecondCosts = endpoints.ToImmutableDictionary(e => e.Endpoint.Name, _ => Money.FromNanos(100_000)),
    });

    private static (Decision Decision, Quote[] Quotes) Decide(RoutingTable table, RouteRequest request, TenantRouting tenant, CandidateLoad[]? loads = null)
    {
        var quotes = new Quote[table.Candidates.Length];
        return (Router.Decide(table, request, tenant, loads ?? [], quotes), quotes);
    }
}
