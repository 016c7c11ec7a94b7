using FsCheck.Xunit;
using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Bounds;

public sealed class LowerBoundTests
{
    // 3.6 $ an hour and 4 slots: 250,000 nano-dollars a slot-second. A request of n input tokens takes n seconds.
    private const double SlotSecond = 0.00025;

    [Fact]
    public void Load_that_fills_instances_costs_what_they_cost()
    {
        var arrivals = Enumerable.Range(0, 400).Select(i => At(i, 1, 2)).ToArray();
        Equal(400 * 2 * SlotSecond, Compute(Of(instances: 0), arrivals).Everything);
    }

    [Fact]
    public void Instances_that_are_kept_are_paid_from_the_beginning_to_the_last_request()
    {
        var result = Compute(Of(instances: 2), [At(7200, 0, 0)]);
        Equal(2 * 7.2, result.Everything);
        Equal(2 * 7.2, result.Models[0].Forced);
    }

    [Fact]
    public void Kept_instances_do_a_burst_that_can_wait_for_nothing()
    {
        // 1000 slot-seconds come at 0 and may wait for a day; the 4 slots have 4000 of them until the last request at 1000 s.
        var result = Compute(Of(instances: 1), [.. Enumerable.Range(0, 100).Select(_ => At(0, 2, 10)), At(1000, 2, 1)]);
        Equal(1.0, result.Everything, 0.001);
        Equal(1000 * SlotSecond, result.Models[0].Absorbed, 0.001);
    }

    [Fact]
    public void Work_that_kept_instances_have_no_room_for_is_paid()
    {
        // 10,000 slot-seconds; those that come at 0 s and cannot wait find no more than the room of their bins.
        var result = Compute(Of(instances: 1), [.. Enumerable.Range(0, 1000).Select(_ => At(0, 0, 10)), At(1000, 2, 1)]);
        var bins = 4 * 30;
        Equal(1.0 + ((10_000 - bins) * SlotSecond), result.Everything, 0.001);
    }

    [Fact]
    public void The_cheaper_variant_counts_where_it_is_good_enough()
    {
        var scenario = Of(instances: 0, withSmall: true, minQuality: 0.5);
        Equal(10 * SlotSecond / 2, Compute(scenario, [At(0, 1, 10)]).Everything);
        Equal(10 * SlotSecond, Compute(scenario, [At(0, 1, 10)], fullOnly: true).Everything);
        Equal(10 * SlotSecond, Compute(scenario with { Tenants = [.. scenario.Tenants.Select(static tenant => tenant with { MinQuality = 1 })] }, [At(0, 1, 10)]).Everything);
    }

    [Fact]
    public void The_dearest_requests_that_are_missed_are_left_out()
    {
        var result = Compute(Of(instances: 0), [.. Enumerable.Range(0, 18).Select(i => At(i, 0, 1)), At(20, 0, 5), At(20, 0, 7), At(21, 1, 9)]);
        Equal(39 * SlotSecond, result.Everything);
        Equal(39 * SlotSecond, result.For(static (_, _) => 0));
        Equal(27 * SlotSecond, result.For(static (_, trafficClass) => trafficClass == TrafficClass.High ? 2 : 0));

        // A part of those that cost alike is rounded up by half a percent at most.
        Equal(26 * SlotSecond, result.For(static (_, trafficClass) => trafficClass == TrafficClass.High ? 3 : 0), 0.006 * SlotSecond);
        Equal(0, result.For(static (_, _) => 100));
    }

    [Fact]
    public void Misses_save_nothing_where_instances_idle()
    {
        var result = Compute(Of(instances: 1), [.. Enumerable.Range(0, 100).Select(i => At(10 * i, 0, 1))]);
        Equal(0.99, result.For(static (_, _) => 10));

        // Nor where they are full: they are billed to those who answer nothing.
        var busy = Compute(Of(instances: 1), [.. Enumerable.Range(0, 1000).Select(_ => At(0, 0, 10)), At(1000, 0, 1)]);
        Equal(1, busy.For(static (_, _) => long.MaxValue));
        Assert.True(busy.Everything > busy.For(static (_, _) => 10));
    }

    [Fact]
    public void A_request_that_nobody_can_answer_in_time_is_a_miss_of_everybody()
    {
        var late = At(1, 0, 50) with { Jitter = 3 };
        var result = Compute(Of(instances: 0), [At(0, 0, 4), late]);
        Assert.Equal(1, result.Unattainable);
        Equal(4 * SlotSecond, result.Everything);
        Equal(4 * SlotSecond, result.For(static (_, _) => 1));
        Equal(0, result.For(static (_, _) => 2));
    }

    /// <summary>
    /// Schedules by chance, with instances that come and go in no time: each request begins somewhere in its window on some variant, the misses that are allowed are
    /// taken, and as many whole instances are paid as are in use. No world of simulated policies is as kind.
    /// </summary>
    [Property(MaxTest = 2000)]
    public void No_schedule_costs_less(int seed)
    {
        var random = new Random(seed);
        var target = random.Next(2) == 0 ? 1 : 0.8;
        var missed = new long[3];
        var kept = random.Next(3);
        var scenario = Of(kept, withSmall: true, minQuality: 0.5);
        var last = random.Next(1, 400);
        var arrivals = Enumerable.Range(0, random.Next(1, 60))
            .Select(_ => At(random.Next(last), random.Next(3), random.Next(1, 30)) with { Jitter = (float)Math.Exp(0.1 * (random.NextDouble() - 0.5)) })
            .Append(At(last, 0, 1))
            .OrderBy(static arrival => arrival.AtUs)
            .ToArray();
        var fullOnly = random.Next(2) == 0;
        var lowest = Compute(scenario, arrivals, fullOnly);

        var left = scenario.Tenants.Select((_, tenant) => (int)(((1 - target) * arrivals.Count(arrival => arrival.Tenant == tenant)) + 1e-9)).ToArray();
        var changes = scenario.Models[0].Variants.Select(static _ => new List<(long At, int By)>()).ToArray();
        foreach (var arrival in arrivals.OrderByDescending(static arrival => arrival.InputTokens))
        {
            if (left[arrival.Tenant]-- > 0)
            {
                missed[arrival.Tenant]++;
                continue;
            }

            var variant = fullOnly ? 0 : random.Next(2);
            var service = (long)(arrival.InputTokens * arrival.Jitter * 1e6);
            var slack = (long)((scenario.Classes[arrival.Tenant].SlackSeconds + (1.5 * arrival.InputTokens)) * 1e6) - service;
            var begin = arrival.AtUs + (random.Next(2) == 0 ? 0 : random.NextInt64(Math.Min(slack, 400_000_000)));
            changes[variant].Add((begin, 1));
            changes[variant].Add((begin + service, -1));
        }

        var cost = changes.Select((each, variant) => Cost(each, scenario.Models[0].Variants[variant], variant == 0 ? kept : 0, last * 1_000_000L)).Sum();
        var bound = lowest.For((_, trafficClass) => missed[(int)trafficClass]);
        Assert.True((double)bound.ToDollars() <= cost, $"{bound} $ > {cost} $");
    }

    private static double Cost(List<(long At, int By)> changes, ScenarioVariant variant, int kept, long keptUntil)
    {
        var (cost, inUse, since) = (0.0, 0, 0L);
        foreach (var (at, by) in changes.Append((keptUntil, 0)).OrderBy(static change => change.Item1))
        {
            var instances = Math.Max(since < keptUntil ? kept : 0, (inUse + variant.Concurrency - 1) / variant.Concurrency);
            cost += instances * (at - since) * (double)variant.PricePerHour.ToDollars() / 3.6e9;
            (inUse, since) = (inUse + by, at);
        }

        return cost;
    }

    private static LowerBoundResult Compute(Scenario scenario, Arrival[] arrivals, bool fullOnly = false) =>
        LowerBound.Compute(scenario, () => new ListedArrivals(arrivals), fullOnly, token: TestContext.Current.CancellationToken);

    private static Arrival At(double seconds, int tenant, int inputTokens) => new() { AtUs = (long)(seconds * 1e6), Tenant = tenant, InputTokens = inputTokens, Jitter = 1 };

    private static void Equal(double dollars, Money money, double tolerance = 1e-6) => Assert.Equal(dollars, (double)money.ToDollars(), tolerance);

    private static Scenario Of(int instances, bool withSmall = false, double minQuality = 0)
    {
        var full = new ScenarioVariant { Name = "full", PricePerHour = Money.FromDollars(3.6m), Concurrency = 4, PrefillTokensPerSecond = 1 };
        var small = full with { Name = "small", Quality = 0.5, PricePerHour = Money.FromDollars(1.8m) };
        return new()
        {
            Name = "small",
            Days = 1,
            Trace = new() { Format = TraceFormat.Requests, File = "" },
            Classes = [new(2, 1), new(300, 1), new(86_400, 1)],
            Models =
            [
                new()
                {
                    Model = "m",
                    Variants = withSmall ? [full, small] : [full],
                    Lanes = [new() { Lane = Lane.Realtime, MinInstances = instances, MaxInstances = 64, ProvisionSeconds = 60, MaxServiceSeconds = 60 }],
                },
            ],
            Tenants = [.. Enum.GetValues<TrafficClass>().Select(each => new ScenarioTenant { Tenant = each.ToString(), Model = "m", Class = each, MinQuality = minQuality })],
        };
    }

    private sealed class ListedArrivals(Arrival[] arrivals) : IArrivals
    {
        private int _next;

        public bool TryNext(out Arrival arrival)
        {
            arrival = _next < arrivals.Length ? arrivals[_next] : default;
            return _next++ < arrivals.Length;
        }

        public void Dispose()
        {
        }
    }
}
