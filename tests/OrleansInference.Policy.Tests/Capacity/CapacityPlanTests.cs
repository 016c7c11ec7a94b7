using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class CapacityPlanTests
{
    private static EndpointDefinition Endpoint(int least, int most, int concurrency = 4) => new()
    {
        Name = new("e"),
        Lane = Lane.Async,
        MinInstances = least,
        MaxInstances = most,
        ConcurrencyPerInstance = concurrency,
    };

    [Fact]
    public void Nothing_in_service_ends_with_the_first_that_waits_and_begins_again_after_the_idle_tail()
    {
        var plan = new CapacityPlan();
        var endpoint = Endpoint(0, 4);
        Assert.Equal(0, plan.Observe(endpoint, new() { Now = 1_000 }).Desired);
        Assert.Equal(1, plan.Observe(endpoint, new() { Now = 2_000, Waiting = 1 }).Desired);
        var now = 20_000L;
        Assert.Equal(1, plan.Observe(endpoint, new() { Now = now, InService = 1, InFlight = 1 }).Desired);
        var idleFrom = 0L;
        while (plan.Desired == 1)
        {
            now += 5_000;
            var decision = plan.Observe(endpoint, new() { Now = now, InService = 1 });
            idleFrom = idleFrom == 0 && decision.Reason.Contains("idle", StringComparison.Ordinal) ? now : idleFrom;
        }

        Assert.Equal(CapacityPlan.IdleTailMs, now - idleFrom);
        Assert.Equal(0, plan.Desired);
    }

    [Fact]
    public void Out_at_most_doubles_and_waits_between_steps()
    {
        var plan = new CapacityPlan(new() { Desired = 1 });
        var endpoint = Endpoint(1, 100);
        Assert.Equal(2, plan.Observe(endpoint, new() { Now = 100_000, Waiting = 400 }).Desired);
        Assert.False(plan.Observe(endpoint, new() { Now = 100_500, Waiting = 400 }).HasChanged);
        Assert.Equal(4, plan.Observe(endpoint, new() { Now = 100_000 + CapacityPlan.CooldownMs, Waiting = 400 }).Desired);
    }

    [Fact]
    public void In_goes_to_the_most_that_was_needed_during_the_tail()
    {
        var plan = new CapacityPlan(new() { Desired = 10 });
        var endpoint = Endpoint(0, 10, concurrency: 1);
        for (var now = 1_000L; now <= 1_000 + CapacityPlan.IdleTailMs; now += 5_000)
        {
            plan.Observe(endpoint, new() { Now = now, InService = 10, Waiting = now == 51_000 ? 6 : 2 });
        }

        Assert.Equal(6, plan.Desired);
    }

    [Property]
    public bool The_operators_bounds_hold(byte least, byte more, int[] load)
    {
        var endpoint = Endpoint(least, least + more);
        var plan = new CapacityPlan();
        var now = 1_000L;
        foreach (var requests in load)
        {
            now += 7_000;
            var desired = plan.Observe(endpoint, new() { Now = now, InFlight = Math.Abs(requests % 500), Waiting = Math.Abs(requests % 77) }).Desired;
            if (desired < least || desired > least + more)
            {
                return false;
            }
        }

        return true;
    }
}
