using OrleansInference.Simulator.Advice;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Advice;

public sealed class AdviceRunTests : IDisposable
{
    private readonly AdviceWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void An_endpoint_that_idles_all_day_is_to_be_served_serverless()
    {
        // A request of a second each ten minutes: 4,320 a month at 0.0001 $ and a cold start of a second each, in place of an instance.
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(1),
            [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Serverless)],
            AdviceWorld.Tenant("t", "m", TrafficClass.High)));

        var advice = Single(report, AdviceKind.IdleEndpoint);
        Assert.InRange(advice.SavesUsdPerMonth, AdviceWorld.Instance - 5, AdviceWorld.Instance);
        Assert.InRange(advice.Before!.UsdPerMonth, AdviceWorld.Instance - 1, AdviceWorld.Instance + 1);
        Assert.Contains("serverless", advice.Do, StringComparison.Ordinal);
        Assert.Equal("m", advice.Subject);
    }

    [Fact]
    public void An_endpoint_for_callers_that_can_wait_is_to_scale_to_zero()
    {
        // One busy hour a day of Medium requests; the instance idles for the other twenty-three.
        var scenario = _world.Scenario(
            Enumerable.Range(0, 144).Select(static step => step < 6 ? 600 : 0).Append(1),
            [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Async)],
            AdviceWorld.Tenant("t", "m", TrafficClass.Medium));
        var report = AdviceWorld.Run(scenario with { Days = 145 / 144.0 });

        var advice = Single(report, AdviceKind.IdleEndpoint);
        Assert.InRange(advice.SavesUsdPerMonth, 0.8 * AdviceWorld.Instance, AdviceWorld.Instance);
        Assert.Contains("scales to zero", advice.Do, StringComparison.Ordinal);
        Assert.True(advice.After!.Attainment[(int)TrafficClass.Medium] >= 0.99);
    }

    [Fact]
    public void A_minimum_that_is_never_used_is_to_be_lowered()
    {
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(30),
            [AdviceWorld.Model("m", AdviceWorld.Realtime with { MinInstances = 3 })],
            AdviceWorld.Tenant("t", "m", TrafficClass.High)));

        var advice = Single(report, AdviceKind.IdleEndpoint);
        Assert.InRange(advice.SavesUsdPerMonth, (2 * AdviceWorld.Instance) - 5, (2 * AdviceWorld.Instance) + 5);
        Assert.Contains("Lower minInstances from 3 to 1", advice.Do, StringComparison.Ordinal);
    }

    [Fact]
    public void An_endpoint_that_nobody_calls_is_to_be_deleted()
    {
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(1000),
            [AdviceWorld.Model("used", AdviceWorld.Realtime), AdviceWorld.Model("forgotten", AdviceWorld.Realtime)],
            AdviceWorld.Tenant("t", "used", TrafficClass.High)));

        var advice = Single(report, AdviceKind.IdleEndpoint);
        Assert.Equal("forgotten", advice.Subject);
        Assert.InRange(advice.SavesUsdPerMonth, AdviceWorld.Instance - 1, AdviceWorld.Instance + 1);
        Assert.All(advice.After!.Attainment, Assert.Null);
    }

    [Fact]
    public void A_cheaper_instance_is_advised_as_far_as_floors_of_quality_allow()
    {
        var small = AdviceWorld.Full with { Name = "small", Quality = 0.9, PricePerHour = Money.FromDollars(0.25m) };
        Scenario Planted(double floor) => _world.Scenario(
            AdviceWorld.Steady(900),
            [AdviceWorld.Model("m", AdviceWorld.Realtime with { MaxInstances = 1 }) with { Variants = [AdviceWorld.Full, small] }],
            AdviceWorld.Tenant("t", "m", TrafficClass.High) with { MinQuality = floor });

        var advice = Single(AdviceWorld.Run(Planted(0.9)), AdviceKind.SmallerInstances);
        Assert.InRange(advice.SavesUsdPerMonth, 0.74 * AdviceWorld.Instance, 0.76 * AdviceWorld.Instance);
        Assert.DoesNotContain(All(AdviceWorld.Run(Planted(0.95))), static each => each.Kind == AdviceKind.SmallerInstances);
    }

    [Fact]
    public void Bulk_that_is_declared_urgent_is_named_with_what_its_patience_is_worth()
    {
        // 6000 requests of a second in ten minutes each four hours: ten slots' work if it comes evenly, and more for the bursts' own bursts.
        var scenario = _world.Scenario(
            Enumerable.Range(0, 145).Select(static step => step % 24 == 0 ? 6000 : 0),
            [AdviceWorld.Model("m", AdviceWorld.Realtime)],
            AdviceWorld.Tenant("bulk", "m", TrafficClass.High));
        var report = AdviceWorld.Run(scenario with { Days = 145 / 144.0 }, "ours");

        var advice = Single(report, AdviceKind.UrgentTraffic);
        Assert.Equal("bulk", advice.Subject);
        Assert.Equal(["High → Medium", "High → Low"], advice.Simulated.Select(static each => each.Change));

        // All but the work itself: with a day to wait it fills every slot of the instances that come for it, and none stays between.
        var work = 7 * 6000 / 4.0 / 3600 * 30 / (145 / 144.0);
        Assert.InRange(advice.SavesUsdPerMonth, advice.Before!.UsdPerMonth - (1.05 * work), advice.Before.UsdPerMonth - work);
        Assert.Equal(advice.Simulated.Max(static each => each.SavesUsdPerMonth), advice.SavesUsdPerMonth, 6);
    }

    [Fact]
    public void Models_that_fit_on_one_instance_are_to_share_it()
    {
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(600),
            [AdviceWorld.Model("a", AdviceWorld.Realtime), AdviceWorld.Model("b", AdviceWorld.Realtime)],
            AdviceWorld.Tenant("one", "a", TrafficClass.High),
            AdviceWorld.Tenant("two", "b", TrafficClass.High)));

        var advice = Single(report, AdviceKind.Consolidation);
        Assert.Equal("a + b", advice.Subject);
        Assert.InRange(advice.SavesUsdPerMonth, AdviceWorld.Instance - 1, AdviceWorld.Instance + 1);
        Assert.Contains("It is assumed", advice.Do, StringComparison.Ordinal);
    }

    [Fact]
    public void Instances_kept_idle_after_each_burst_are_to_go_sooner()
    {
        // A burst of ten minutes each hour: ten minutes more of three instances each time.
        var report = AdviceWorld.Run(_world.Scenario(
            Enumerable.Range(0, 144).Select(static step => step % 6 == 0 ? 9000 : 60),
            [AdviceWorld.Model("m", AdviceWorld.Realtime with { ProvisionSeconds = 10 })],
            AdviceWorld.Tenant("t", "m", TrafficClass.Medium)));

        var advice = Single(report, AdviceKind.ColdStarts);
        Assert.Contains("after 5 minutes", advice.Do, StringComparison.Ordinal);
        Assert.InRange(advice.SavesUsdPerMonth, 0.1 * advice.Before!.UsdPerMonth, 0.7 * advice.Before.UsdPerMonth);
    }

    [Fact]
    public void Hourly_jobs_of_few_requests_are_to_be_larger()
    {
        // An hour's requests are a minute and a half of one instance; each job is billed ten minutes before it works.
        var report = AdviceWorld.Run(
            _world.Scenario(
                AdviceWorld.Steady(60),
                [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Async, AdviceWorld.Batch)],
                AdviceWorld.Tenant("t", "m", TrafficClass.Low)),
            "fixed-rule");

        // Of 24 starts a day three are left.
        var advice = Single(report, AdviceKind.BatchWindows);
        Assert.Contains("8 hours", advice.Do, StringComparison.Ordinal);
        Assert.InRange(advice.SavesUsdPerMonth, 30 * 20 / 6.0, 30 * 22 / 6.0);
    }

    [Fact]
    public void The_whole_difference_to_the_router_is_told()
    {
        var report = AdviceWorld.Run(
            _world.Scenario(AdviceWorld.Steady(1), [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Serverless)], AdviceWorld.Tenant("t", "m", TrafficClass.High)),
            PolicyChoices.All.Single(static choice => choice.Name == "target-tracking"),
            withRouter: true);

        var advice = Single(report, AdviceKind.Routing);
        Assert.Equal(report.Today!.UsdPerMonth, advice.Before!.UsdPerMonth, 6);
        Assert.InRange(advice.SavesUsdPerMonth, AdviceWorld.Instance - 5, AdviceWorld.Instance);
    }

    [Fact]
    public void Where_there_is_nothing_to_gain_nothing_is_advised()
    {
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(1000),
            [AdviceWorld.Model("m", AdviceWorld.Realtime with { MaxInstances = 1 })],
            AdviceWorld.Tenant("t", "m", TrafficClass.High)));

        Assert.Empty(All(report));
        Assert.Equal(0, report.LargestUsdPerMonth);
    }

    [Fact]
    public void What_would_push_a_class_below_its_target_is_held_back()
    {
        // Each cold start is longer than High's slack.
        var report = AdviceWorld.Run(_world.Scenario(
            AdviceWorld.Steady(1),
            [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Serverless with { ColdStartSeconds = 10 })],
            AdviceWorld.Tenant("t", "m", TrafficClass.High)));

        Assert.Empty(report.Advices);
        Assert.Equal([TrafficClass.High], Assert.Single(report.HeldBack).Missed);
    }

    [Fact]
    public void A_model_alone_gets_the_requests_that_it_gets_among_others()
    {
        var scenario = _world.Scenario(
            AdviceWorld.Steady(600),
            [AdviceWorld.Model("a", AdviceWorld.Realtime), AdviceWorld.Model("b", AdviceWorld.Realtime)],
            AdviceWorld.Tenant("one", "a", TrafficClass.High),
            AdviceWorld.Tenant("two", "b", TrafficClass.Medium));
        var (traffic, _) = TenantTraffic.Measure(scenario, static _ => { }, CancellationToken.None);

        for (var model = 0; model < 2; model++)
        {
            var (alone, _) = TenantTraffic.Measure(AdviceGround.Only(scenario, model), static _ => { }, CancellationToken.None);
            Assert.Equal(traffic[model], alone[model]);
            Assert.Equal(0, alone[1 - model].Requests);
        }
    }

    private static IEnumerable<Simulator.Advice.Advice> All(AdviceReport report) => report.Advices.Concat(report.HeldBack);

    private static Simulator.Advice.Advice Single(AdviceReport report, AdviceKind kind) => Assert.Single(report.Advices, advice => advice.Kind == kind);
}
