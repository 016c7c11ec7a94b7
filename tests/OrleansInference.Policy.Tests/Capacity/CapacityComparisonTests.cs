using System.Globalization;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

/// <summary>The plan next to the reactive rule on the same requests: instance-hours, and the share of requests that waited no longer than half a service time.</summary>
public sealed class CapacityComparisonTests
{
    private const double Target = 0.99;
    private const int Seed = 7;
    private const int MostLatePolls = 24;

    // People wait ten seconds for a slot, then they are gone and count as late.
    private const long PatienceMs = 10_000;

    [Fact]
    public void On_average_it_uses_a_tenth_fewer_instance_hours_or_better_and_keeps_the_wait_on_all_kinds_of_traffic()
    {
        var (plan, reactive) = (0.0, 0);
        foreach (var (name, requests, concurrency, startSeconds, instances) in Cases())
        {
            var (before, after, learned) = Compare(requests, concurrency, startSeconds, instances);
            reactive++;
            plan += after.InstanceHours / before.InstanceHours;
            var line = string.Create(
                CultureInfo.InvariantCulture,
                $"{name,-12} × {concurrency} start {startSeconds} s, from {instances}: reactive {before.InstanceHours:0.0} h {before.InTime:P2} in time {before.Changes} changes {before.BackAndForth} back and forth; plan {after.InstanceHours:0.0} h {after.InTime:P2} {after.Changes} changes {after.BackAndForth} back and forth, {learned.Flaps} flaps, skill {learned.Outlook.SeasonSkill:0.00}");
            TestContext.Current.TestOutputHelper?.WriteLine(line);

            // As good as the rule, or as good as asked for. It does not always take fewer instances: on few and very bursty requests (code × 0.5) the rule
            // happens to be cheaper, at fewer requests in time.
            Assert.True(after.InTime >= Math.Min(before.InTime, Target) - 0.01, line);
            Assert.True(after.InstanceHours <= 1.4 * before.InstanceHours, line);
            Assert.True(!name.StartsWith("conv", StringComparison.Ordinal) || after.InstanceHours <= 0.85 * before.InstanceHours, line);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"On average {plan / reactive:P0} of the instance-hours of the reactive rule.");
        Assert.InRange(plan / reactive, 0, 0.9);
    }

    [Fact]
    public void It_is_better_where_the_day_is_like_the_days_before()
    {
        var requests = CapacityTraffic.Office(4, 5, seed: 3);
        var lastDay = 4 * 86_400_000L;
        // The first minutes of the office: on the last day the instances are there when it opens.
        var late = 0;
        var plan = new CapacityPlan(new() { Desired = 1 });
        var endpoint = Endpoint(4, 240);
        new VirtualEndpoint(endpoint, 240_000, PatienceMs).Run(requests, 1_500, seen =>
        {
            var desired = plan.Observe(endpoint, seen).Desired;
            var ofDay = (seen.Now - VirtualEndpoint.Epoch) % 86_400_000;
            late += seen.Now - VirtualEndpoint.Epoch > lastDay && ofDay is > 9 * 3_600_000L and < (9 * 3_600_000L) + 600_000 && seen.Waiting > 0 ? 1 : 0;
            return desired;
        });
        Assert.InRange(plan.Outlook.SeasonSkill, 0.5, 1);
        Assert.InRange(late, 0, MostLatePolls);
    }

    [Fact]
    public void An_async_lane_rests_between_its_jobs_and_wakes_for_them()
    {
        // A batch of fifty jobs every two hours.
        var requests = Enumerable.Range(0, 12).SelectMany(static hour => Enumerable.Range(0, 50).Select(i => (At: (hour * 7_200_000L) + (i * 100), ServiceMs: 20_000L))).ToList();
        var endpoint = Endpoint(4, 240) with { Lane = Lane.Async, MinInstances = 0 };
        var plan = new CapacityPlan();
        var run = new VirtualEndpoint(endpoint, 240_000, instances: 0).Run(requests, 900_000, seen => plan.Observe(endpoint, seen).Desired, untilMs: 12 * 7_200_000);
        Assert.Equal(1, run.InTime);
        Assert.Equal(0, plan.Desired);

        // One instance that never rests would be in service for twice as long, and make them wait longer.
        Assert.InRange(run.InstanceHours, 12 * 50 * 20 / 4 / 3_600.0, 12);
    }

    private static IEnumerable<(string Name, List<(long At, long ServiceMs)> Requests, int Concurrency, int StartSeconds, int Instances)> Cases()
    {
        foreach (var (trace, rate, concurrency, start) in ((string, double, int, int)[])[("conv", 0.25, 1, 180), ("conv", 1, 1, 180), ("conv", 1, 8, 60), ("conv", 4, 4, 300), ("conv", 20, 8, 180), ("code", 0.5, 2, 60), ("code", 1, 1, 180), ("code", 4, 4, 180)])
        {
            var requests = CapacityTraffic.Azure(trace, rate, Seed);
            yield return ($"{trace} × {rate.ToString(CultureInfo.InvariantCulture)}", requests, concurrency, start, Fitting(requests, concurrency));
        }

        foreach (var rate in (double[])[1, 20])
        {
            var steady = CapacityTraffic.Steady(rate, 4, Seed);
            var bursts = CapacityTraffic.Bursts(rate, 6, Seed);
            yield return ($"steady {rate}", steady, 4, 180, Fitting(steady, 4));
            yield return ($"bursts {rate}", bursts, 4, 180, Fitting(bursts, 4));
        }

        yield return ("days", CapacityTraffic.Days(3, 5, Seed), 4, 300, 1);
        yield return ("office", CapacityTraffic.Office(4, 5, Seed), 4, 240, 1);
    }

    /// <summary>What an operator would start with who knows the load.</summary>
    private static int Fitting(List<(long At, long ServiceMs)> requests, int concurrency) =>
        (int)Math.Ceiling(1.3 * requests.Sum(static request => (double)request.ServiceMs) / requests[^1].At / concurrency);

    private static (EndpointRun Reactive, EndpointRun Run, CapacityPlan Plan) Compare(List<(long At, long ServiceMs)> requests, int concurrency, int startSeconds, int instances)
    {
        var endpoint = Endpoint(concurrency, startSeconds);
        var waitMs = 0.5 * requests.Average(static request => request.ServiceMs);
        var virtually = new VirtualEndpoint(endpoint, startSeconds * 1_000, PatienceMs, instances);
        var rule = new ReactiveRule(instances);
        var plan = new CapacityPlan(new() { Desired = instances });
        return (virtually.Run(requests, waitMs, seen => rule.Observe(endpoint, seen)), virtually.Run(requests, waitMs, seen => plan.Observe(endpoint, seen).Desired), plan);
    }

    private static EndpointDefinition Endpoint(int concurrency, int startSeconds) => new()
    {
        Name = new("e"),
        Lane = Lane.Realtime,
        MinInstances = 1,
        MaxInstances = 400,
        ConcurrencyPerInstance = concurrency,
        Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 10, ColdStartSeconds = startSeconds },
    };
}
