using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Policies.Baselines;

namespace OrleansInference.Tests.Policies;

public sealed class FixedRuleTests
{
    private static readonly Tracking One = new(30, 1, 1);
    private static readonly Tracking FromZero = new(4, 0, 0);

    [Fact]
    public void Each_class_goes_to_its_lane_and_a_long_request_of_High_to_the_asynchronous_one()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(),
            new FixedRuleFleet(0, One, FromZero),
            [SmallWorld.At(0, TrafficClass.High), SmallWorld.At(1, TrafficClass.Medium), SmallWorld.At(2, TrafficClass.Low), SmallWorld.At(3, TrafficClass.High, 61)]);
        Assert.Equal(
            [(0L, Lane.Realtime), (1L, Lane.Async), (3L, Lane.Async)],
            run.Ends.Select(static end => (end.Number, end.Pool.LaneDefinition.Lane)).OrderBy(static each => each.Number));
        Assert.Equal(1, Assert.Single(Jobs(run)).Served);
        Assert.Equal(1, run.World.Classes[(int)TrafficClass.Low].Attained);
    }

    [Fact]
    public void From_zero_an_instance_is_asked_for_after_two_minutes_of_backlog_and_given_up_once_it_was_empty_for_long()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(),
            new FixedRuleFleet(0, One, FromZero),
            [SmallWorld.At(30, TrafficClass.Medium), SmallWorld.At(7200, TrafficClass.High)]);
        var pool = run.World.Pools[1];
        Assert.Equal(360.0, Assert.Single(run.Came).At, 3);
        Assert.Equal(361.0, run.Ends.Single(static end => end.Class == TrafficClass.Medium).At, 3);

        // Asked for at 120 s, in service at 360 s, when the first of fifteen data points below the target is taken.
        Assert.Equal(840.0, pool.InstanceUs / 1e6, 3);
    }

    [Fact]
    public void A_backlog_above_the_target_brings_more_instances()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(),
            new FixedRuleFleet(0, One, new(4, 1, 1)),
            Enumerable.Range(0, 20).Select(static _ => SmallWorld.At(1, TrafficClass.Medium, 60)));
        Assert.Equal(420.0, run.Came[0].At, 3);
        Assert.Equal(4, run.Ends.Count(static end => end.Began == 420));
    }

    [Fact]
    public void What_comes_in_an_hour_is_one_job_at_its_end_with_instances_for_half_an_hour()
    {
        // 60 requests of 60 s are 3600 s of work: two instances for half an hour.
        var run = SmallWorld.Run(SmallWorld.Scenario(), new FixedRuleFleet(0, One, FromZero), SmallWorld.Pace(0, 3600, 1, TrafficClass.Low, 60));
        var job = Assert.Single(Jobs(run));
        Assert.Equal(60, job.Served);
        Assert.Equal(3600.0 + 100 + 1800, run.World.NowUs / 1e6, 3);
        Assert.Equal(2 * 1900.0, job.InstanceUs / 1e6, 3);
    }

    [Fact]
    public void A_job_waits_while_as_many_run_as_there_may_be()
    {
        // Each hour's work is two hours of the most instances; only one job may run.
        var run = SmallWorld.Run(SmallWorld.Scenario(), new FixedRuleFleet(0, One, FromZero), SmallWorld.Pace(0, 7200, 8, TrafficClass.Low, 60));
        Assert.Equal([4 * 7300.0, 4 * 7300.0], Jobs(run).Select(static job => job.InstanceUs / 1e6));
        Assert.Equal(3600.0 + 7300 + 7300, run.World.NowUs / 1e6, 3);
    }

    private static IEnumerable<Pool> Jobs(Watched run) => run.World.Pools.Where(static pool => pool.LaneDefinition.Lane == Lane.Batch);
}
