using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Policies;

/// <summary>The batch lane of the router in virtual time. A request takes as many seconds as it has input tokens, one at a time on an instance; a job starts in 100 s.</summary>
public sealed class RoutedWindowsTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("simulator-test");

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Low waits for two hours, and windows are open for one at the most.</summary>
    private Scenario Of(int maxJobs = 2, int maxInstances = 4, int asyncInstances = 1, int concurrency = 1, bool hasRealtime = false, IEnumerable<Arrival>? trace = null)
    {
        var file = Path.Combine(_folder.FullName, "trace.jsonl");
        File.WriteAllLines(file, (trace ?? [SmallWorld.At(0, TrafficClass.Low, 10)]).Select(static arrival => $$"""{"timestamp": {{arrival.AtUs / 1000}}, "input_length": {{arrival.InputTokens}}, "output_length": 1}"""));
        var scenario = SmallWorld.Scenario(days: 0.25, concurrency: concurrency);
        return scenario with
        {
            Trace = scenario.Trace with { File = file },
            Classes = [new(2, 0.99), new(300, 0.99), new(7_200, 0.99)],
            Models =
            [
                scenario.Models[0] with
                {
                    Lanes =
                    [
                        .. hasRealtime ? new[] { scenario.Models[0].Lanes[0] with { MaxInstances = 1 } } : [],
                        .. asyncInstances > 0 ? new[] { new ScenarioLane { Lane = Lane.Async, MaxInstances = asyncInstances, ProvisionSeconds = 240, MaxServiceSeconds = 3_600 } } : [],
                        new() { Lane = Lane.Batch, MaxJobs = maxJobs, MaxInstancesPerJob = maxInstances, StartSeconds = 100, MaxServiceSeconds = 3_600 },
                    ],
                },
            ],
        };
    }

    private static Watched Run(Scenario scenario, IEnumerable<Arrival> arrivals, RoutedOptions? options = null) => SmallWorld.Run(scenario, new RoutedPolicy(options ?? new()), arrivals);

    private static Pool[] Jobs(Watched run) => [.. run.World.Pools.Where(static pool => pool.LaneDefinition.Lane == Lane.Batch)];

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void Windows_serve_in_time_what_no_other_lane_takes_and_nothing_is_left(int silos)
    {
        // Five slots' worth for three hours, beside one asynchronous instance.
        var run = Run(Of(), SmallWorld.Pace(0, 10_800, 30, TrafficClass.Low, 10), silos == 0 ? new() : RoutedOptions.Cluster(silos));
        var low = run.World.Classes[(int)TrafficClass.Low];
        Assert.Equal((5_400, 5_400), (low.Requests, low.Attained));
        Assert.True(Jobs(run).Sum(static job => job.Served) >= 0.8 * 5_400);
        Assert.All(run.World.Pools, static pool => Assert.Equal((0, 0), (pool.InUse, pool.InService)));
        Assert.Equal(0, run.World.Outstanding);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void Windows_have_what_the_slots_in_real_time_that_High_leaves_cannot_do(int silos)
    {
        // High has one of four slots, and Low would need five.
        var scenario = Of(asyncInstances: 0, concurrency: 4, hasRealtime: true, trace: [SmallWorld.At(0, TrafficClass.Low, 5)]);
        var random = new Random(1);
        var arrivals = Enumerable.Range(0, 21_600).Select(i => SmallWorld.At(random.NextDouble() * 18_000, i < 3_600 ? TrafficClass.High : TrafficClass.Low, random.Next(1, 10))).ToArray();
        var run = Run(scenario, arrivals, silos == 0 ? new() : RoutedOptions.Cluster(silos));
        Assert.True(run.World.Classes[(int)TrafficClass.Low].Attainment >= 0.99, $"{run.World.Classes[(int)TrafficClass.Low].Attainment}");
        Assert.True(run.World.Classes[(int)TrafficClass.High].Attainment >= 0.9, $"{run.World.Classes[(int)TrafficClass.High].Attainment}");
        Assert.InRange(run.Members, 0.3 * 18_000, 0.7 * 18_000);
        Assert.True(run.World.Pools[0].BusyUs >= 0.6 * 4 * run.World.Pools[0].InstanceUs, "the slots are idle");
    }

    [Fact]
    public void No_more_jobs_run_at_a_time_than_the_lane_allows_and_all_have_their_turn()
    {
        // A window is full every 300 s, and its job takes 475 s.
        var arrivals = SmallWorld.Pace(0, 3_001, 600, TrafficClass.Low, 1).Take(30_000).ToArray();
        foreach (var maxJobs in (int[])[1, 2])
        {
            var run = Run(Of(maxJobs, asyncInstances: 0, concurrency: 8, trace: arrivals.Take(1)), arrivals);
            Assert.Equal(maxJobs, run.MostJobs);
            Assert.Equal([.. Enumerable.Repeat((3_000L, 1L, 475L), 10)], Jobs(run).Select(static job => (job.Served, job.Starts, job.InstanceUs / 1_000_000)));
            Assert.Equal(30_000, run.World.Classes[(int)TrafficClass.Low].Attained);
        }
    }

    [Fact]
    public void A_window_closes_at_its_age_and_few_members_have_one_instance()
    {
        var run = Run(Of(asyncInstances: 0), Enumerable.Range(0, 3).Select(static i => SmallWorld.At(60 * i, TrafficClass.Low, 10)));
        var job = Assert.Single(Jobs(run));
        Assert.Equal((3, 1, 130), (job.Served, job.Starts, job.InstanceUs / 1_000_000));
        Assert.Equal(3_600 + 130, run.World.NowUs / 1e6, 3);
    }

    [Fact]
    public void Members_that_one_instance_would_serve_too_late_have_more_but_no_more_than_they_need()
    {
        // The window closes after an hour, when there is an hour and a quarter of a minute left: 600 members of 10 s need 6,000 s on one instance, and may take twice as long.
        var run = Run(Of(asyncInstances: 0), Enumerable.Range(0, 600).Select(static i => SmallWorld.At(0.01 * i, TrafficClass.Low, 10)));
        Assert.Equal(600, run.World.Classes[(int)TrafficClass.Low].Attained);
        Assert.Equal([4L], Jobs(run).Select(static job => job.Starts));
    }

    [Fact]
    public void A_window_of_which_every_deadline_has_passed_when_its_turn_comes_is_missed()
    {
        // One job at a time on one instance: a window is full at once, takes 3,100 s, and its members can wait for 7,201 s.
        var arrivals = Enumerable.Range(0, 12_000).Select(static i => SmallWorld.At(0.0001 * i, TrafficClass.Low, 1)).ToArray();
        var run = Run(Of(maxJobs: 1, maxInstances: 1, asyncInstances: 0, trace: arrivals.Take(1)), arrivals);
        Assert.Equal(3, Jobs(run).Length);
        Assert.Equal(9_000, run.Members);
        Assert.Equal(12_000, run.World.Classes[(int)TrafficClass.Low].Requests);
        Assert.Equal(0, run.World.Outstanding);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void The_same_seed_gives_the_same_course_costs_add_up_and_none_is_below_the_bound(int silos)
    {
        var scenario = Of(trace: SmallWorld.Pace(0, 10_800, 30, TrafficClass.Low, 10));
        scenario = scenario with { Tenants = [.. scenario.Tenants.Where(static tenant => tenant.Class == TrafficClass.Low)] };
        var options = silos == 0 ? new() : RoutedOptions.Cluster(silos);
        var (one, other) = (World.Measure(scenario, new RoutedPolicy(options)), World.Measure(scenario, new RoutedPolicy(options)));
        Assert.Equal(Figures(one), Figures(other));
        Assert.Equal(one.Cost, one.Lanes.Aggregate(Money.Zero, static (sum, lane) => sum + lane.Cost));
        Assert.True(one.Lanes.Single(static lane => lane.Lane == Lane.Batch).Served > 0);
        var bound = LowerBound.Compute(scenario).For(scenario, one);
        Assert.True(bound > Money.Zero && one.Cost >= bound, $"{one.Cost} < {bound}");

        static string Figures(PolicyResult result) =>
            $"{result.Cost} {result.Utilization:R} {result.InstanceHours:R} {string.Join(' ', result.Classes.Select(static tally => $"{tally.Requests} {tally.Attained} {tally.LatencySeconds(0.5):R} {tally.LatencySeconds(0.99):R}"))}";
    }
}
