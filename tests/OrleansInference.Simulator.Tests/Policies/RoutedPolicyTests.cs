using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Policies;

/// <summary>The router in virtual time, on hours of the shipped scenarios.</summary>
public sealed class RoutedPolicyTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("simulator-test");

    public void Dispose() => _folder.Delete(recursive: true);

    private static Scenario Hours(string name, double hours, ulong seed = 1) =>
        ScenarioReader.Read(ScenarioReader.Find(name)) with { Days = hours / 24, Seed = seed };

    private static PolicyResult Run(Scenario scenario, RoutedOptions? options = null) => World.Measure(scenario, new RoutedPolicy(options ?? new()));

    [Theory]
    [InlineData("servegen-week")]
    [InlineData("small-models-week")]
    public void The_same_seed_gives_the_same_course_and_another_seed_another(string name)
    {
        var one = Figures(Run(Hours(name, 2)));
        Assert.Equal(one, Figures(Run(Hours(name, 2))));
        Assert.NotEqual(one, Figures(Run(Hours(name, 2, seed: 2))));

        static string Figures(PolicyResult result) =>
            $"{result.Cost} {result.Utilization:R} {result.ScaleChanges} {string.Join(' ', result.Classes.Select(static tally => $"{tally.Requests} {tally.Attained} {tally.LatencySeconds(0.5):R}"))}";
    }

    [Theory]
    [InlineData("servegen-week")]
    [InlineData("small-models-week")]
    public void No_run_costs_less_than_the_bound_and_the_shares_of_tenants_and_lanes_add_up(string name)
    {
        var scenario = Hours(name, 3);
        var lowest = LowerBound.Compute(scenario);
        foreach (var options in (RoutedOptions[])[new(), new() { FullOnly = true }, new() { ValleyFilling = false }, new() { DeadlineBatching = false }])
        {
            var result = Run(scenario, options);
            var bound = lowest.For(scenario, result);
            Assert.Equal(lowest.Requests, result.Requests);
            Assert.True(bound > Money.Zero && bound <= lowest.Everything);
            Assert.True(result.Cost >= bound, $"{options}: {result.Cost} < {bound}");

            // The day begins with one instance, and another takes minutes.
            Assert.True(result.Classes[0].Attainment >= 0.95, $"{options}: {result.Classes[0].Attainment}");
            Assert.Equal(result.Cost, result.Lanes.Aggregate(Money.Zero, static (sum, lane) => sum + lane.Cost));

            // What is billed for a pool that nobody used is nobody's share.
            Assert.True(result.TenantCosts.Aggregate(Money.Zero, static (sum, cost) => sum + cost) <= result.Cost);
            Assert.Equal(result.Requests, result.Tenants.Sum(static tenant => tenant.Requests));
            Assert.Equal(result.Classes.Sum(static tally => tally.Attained), result.Tenants.Sum(static tenant => tenant.Attained));
        }
    }

    [Fact]
    public void In_overload_the_short_requests_of_a_tenant_are_served_before_its_long_ones_and_hardly_a_call_ends_late()
    {
        // Two instances with four slots each; a tenant sends a short request and two long ones a second, ten times what they serve.
        var file = Path.Combine(_folder.FullName, "first.jsonl");
        File.WriteAllText(file, """{"timestamp": 0, "input_length": 10, "output_length": 1}""");
        var scenario = SmallWorld.Scenario(0.02, concurrency: 4, minInstances: 2);
        scenario = scenario with { Trace = scenario.Trace with { File = file }, Models = [scenario.Models[0] with { Lanes = [scenario.Models[0].Lanes[0] with { MaxInstances = 2 }] }] };
        var arrivals = SmallWorld.Pace(0, 1500, 60, TrafficClass.Medium, 1).Concat(SmallWorld.Pace(0.5, 1500, 120, TrafficClass.Medium, 40)).OrderBy(static arrival => arrival.AtUs).ToArray();
        var run = SmallWorld.Run(scenario, new RoutedPolicy(new()), arrivals);

        // In time is within five minutes and half as much again as it takes.
        var served = run.Ends.Select(end => (Seconds: arrivals[end.Number].InputTokens, IsLate: end.At > (arrivals[end.Number].AtUs / 1e6) + 300 + (1.5 * arrivals[end.Number].InputTokens))).ToArray();
        var shorts = served.Count(static end => end is { Seconds: 1, IsLate: false });
        Assert.True(shorts >= 0.9 * 1500, $"{shorts} of 1500");
        Assert.True(served.Count(static end => end.IsLate) <= 0.02 * served.Length, $"{served.Count(static end => end.IsLate)} of {served.Length} late");
        Assert.True(run.World.Pools[0].BusyUs >= 0.9 * 4 * run.World.Pools[0].InstanceUs, "the slots are idle");
    }

    [Fact]
    public void Work_that_can_wait_fills_slots_that_are_paid_for_and_makes_the_whole_cheaper()
    {
        // On this model work of Low comes in bursts of hundreds of slots.
        var scenario = Hours("servegen-week", 10);
        scenario = scenario with { Models = [.. scenario.Models.Where(static model => model.Model == "m-mid")], Tenants = [.. scenario.Tenants.Where(static tenant => tenant.Model == "m-mid")] };
        var ours = Run(scenario);
        Assert.True(ours.Utilization > Run(scenario, new() { ValleyFilling = false }).Utilization);
        Assert.True(ours.Cost < Run(scenario, new() { DeadlineBatching = false }).Cost);
        Assert.True(ours.Classes[(int)TrafficClass.Low].Attainment >= 0.999);
    }
}
