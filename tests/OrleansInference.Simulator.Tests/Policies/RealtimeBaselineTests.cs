using FsCheck.Xunit;
using OrleansInference.Simulator.Policies.Baselines;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Policies;

public sealed class RealtimeBaselineTests
{
    private const int Requests = 3000;

    [Fact]
    public void Requests_are_served_in_the_order_in_which_they_came_whatever_their_class()
    {
        TrafficClass[] classes = [TrafficClass.Low, TrafficClass.Medium, TrafficClass.High, TrafficClass.Low, TrafficClass.High];
        var run = SmallWorld.Run(SmallWorld.Scenario(), new StaticFleet(0, 1), classes.Select(static (each, i) => SmallWorld.At(0.01 * i, each)));
        Assert.Equal([0L, 1, 2, 3, 4], run.Ends.Select(static end => end.Number));
        Assert.Equal(5.0, run.Ends[^1].At, 3);
    }

    [Fact]
    public void Who_finds_the_queue_full_comes_again_until_the_deadline()
    {
        // One is served at a time, a hundred wait; the others are turned away. A High caller of one second has 3.5 s.
        var arrivals = Enumerable.Range(0, 151).Select(static i => SmallWorld.At(0, i < 101 ? TrafficClass.Low : TrafficClass.High));
        var run = SmallWorld.Run(SmallWorld.Scenario(), new StaticFleet(0, 1), arrivals);
        Assert.Equal(101 - 41, run.Ends.Count(static end => end.Class == TrafficClass.Low && end.At <= 60.01));
        Assert.True(run.Ends.Count(static end => end.Class == TrafficClass.High) < 10);
        Assert.Equal(0, run.World.Outstanding);
        Assert.Equal(101, run.World.Classes[(int)TrafficClass.Low].Attained);
    }

    [Fact]
    public void Who_has_waited_longer_than_an_invocation_may_take_is_answered_an_error_and_comes_again()
    {
        var arrivals = Enumerable.Range(0, 10).Select(static i => SmallWorld.At(i * 0.1, TrafficClass.Low, 50));
        var run = SmallWorld.Run(SmallWorld.Scenario(), new StaticFleet(0, 1), arrivals);
        Assert.Equal(10, run.World.Classes[(int)TrafficClass.Low].Attained);
        Assert.All(run.Ends.Skip(2), static end => Assert.True(end.Began > 100));
    }

    [Fact]
    public void A_service_beyond_the_limit_is_cut_off()
    {
        var run = SmallWorld.Run(SmallWorld.Scenario(), new StaticFleet(0, 1), [SmallWorld.At(0, TrafficClass.Low, 90)]);
        Assert.Equal(60.0, run.Ends.Single().At, 3);
        Assert.Equal(0, run.World.Classes[(int)TrafficClass.Low].Attained);
    }

    [Fact]
    public void Target_tracking_asks_in_the_third_minute_and_gets_it_a_provisioning_delay_later()
    {
        var run = SmallWorld.Run(SmallWorld.Scenario(concurrency: 8), new TargetTrackingFleet(0, new(100, 1, 1)), SmallWorld.Pace(0, 1200, 240, TrafficClass.High));
        Assert.Equal([(0.0, 1), (180.0, 3)], run.Wants);
        Assert.Equal(420.0, run.Came[0].At, 3);
    }

    [Fact]
    public void Where_changes_may_not_overlap_more_is_had_only_when_the_change_before_is_done()
    {
        Watched Run(bool oneChangeAtATime) => SmallWorld.Run(
            SmallWorld.Scenario(concurrency: 8) with { OneChangeAtATime = oneChangeAtATime },
            new TargetTrackingFleet(0, new(100, 1, 1)),
            SmallWorld.Pace(0, 240, 240, TrafficClass.High).Concat(SmallWorld.Pace(240, 1200, 480, TrafficClass.High)));
        Assert.Contains(Run(false).Wants, static want => want.At is > 180 and < 420);
        var one = Run(true);
        Assert.Equal([(0.0, 1), (180.0, 3), (420.0, 5)], one.Wants.Take(3));
        Assert.Equal([420.0, 660.0], one.Came.Take(2).Select(static came => Math.Round(came.At, 3)));
        Assert.Equal(0, one.World.Pools[0].InService);
    }

    [Fact]
    public void Target_tracking_goes_back_after_fifteen_quiet_minutes_and_never_to_zero()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(concurrency: 8, minInstances: 0),
            new TargetTrackingFleet(0, new(100, 0, 1)),
            SmallWorld.Pace(0, 600, 285, TrafficClass.High).Append(SmallWorld.At(7200, TrafficClass.High)));
        Assert.Equal([(0.0, 1), (180.0, 3), (1500.0, 1)], run.Wants);
    }

    [Fact]
    public void Predictive_sends_what_finds_no_free_slot_to_serverless_executions()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(hasServerless: true, minInstances: 0),
            new PredictiveFleet(0, new(0.5, 0, 1, 1)),
            Enumerable.Range(0, 6).Select(static _ => SmallWorld.At(0, TrafficClass.High, 5)));
        Assert.Equal(3, run.Ends.Count(static end => end.Pool.LaneDefinition.Lane == Lane.Serverless));
        Assert.Equal(3, run.Ends.Count(static end => end.Pool.LaneDefinition.Lane == Lane.Realtime));
    }

    [Fact]
    public void Predictive_keeps_no_instance_for_less_than_its_price()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(hasServerless: true, minInstances: 0),
            new PredictiveFleet(0, new(0.5, 0, 1, 1)),
            SmallWorld.Pace(0, 7200, 0.5, TrafficClass.High));
        Assert.Equal(0, run.Wants[^1].Instances);
    }

    [Property(MaxTest = 60)]
    public bool Every_request_ends_once_and_the_same_seed_gives_the_same(int seed, byte kind)
    {
        var (first, again) = (Run(seed, kind), Run(seed, kind));
        var served = first.World.Pools.Sum(static pool => pool.Served);
        var batch = first.World.Pools.Where(static pool => pool.LaneDefinition.Lane == Lane.Batch).Sum(static pool => pool.Served);
        return first.Ends.Select(static end => end.Number).Distinct().Count() == first.Ends.Count
            && first.Ends.Count + batch == served
            && first.World.Outstanding == 0
            && first.World.Classes.Sum(static tally => tally.Requests) == Requests
            && served <= Requests
            && first.World.Classes.Sum(static tally => tally.Latency.Count) <= served
            && first.Ends.Select(static end => (end.At, end.Number)).SequenceEqual(again.Ends.Select(static end => (end.At, end.Number)))
            && first.World.Pools.Sum(static pool => pool.Cost.Nanos) == again.World.Pools.Sum(static pool => pool.Cost.Nanos)
            && first.World.Pools.All(static pool => pool.InUse == 0);
    }

    private static Watched Run(int seed, byte kind)
    {
        var chance = new Chance((ulong)seed, "test");
        var arrivals = new List<Arrival>();
        var at = 0.0;
        for (var i = 0; i < Requests; i++)
        {
            at -= Math.Log(chance.Positive()) * (chance.Uniform() < 0.01 ? 300 : 0.5);
            arrivals.Add(SmallWorld.At(at, (TrafficClass)(int)(3 * chance.Uniform()), chance.Uniform() < 0.01 ? 70 : 1 + (int)(8 * chance.Uniform())));
        }

        ModelFleet fleet = (kind % 4) switch
        {
            0 => new StaticFleet(0, 2),
            1 => new TargetTrackingFleet(0, new(20, 1, 2)),
            2 => new FixedRuleFleet(0, new(20, 1, 1), new(5, 0, 0)),
            _ => new PredictiveFleet(0, new(0.6, 0, 1, 4)),
        };
        return SmallWorld.Run(SmallWorld.Scenario(concurrency: 2, hasServerless: kind % 8 >= 4, minInstances: kind % 8 >= 4 ? 0 : 1), fleet, arrivals);
    }
}
