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
            [(0L, Lane.Realtime), (1L, Lane.Async), (2L, Lane.Batch), (3L, Lane.Async)],
            run.Ends.Select(static end => (end.Number, end.Pool.LaneDefinition.Lane)).OrderBy(static each => each.Number));
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

        // Asked for at 120 s, in service at 360 s; the alarm has seen an empty queue for fifteen minutes at 1260 s.
        Assert.Equal(900.0, pool.InstanceUs / 1e6, 3);
    }

    [Fact]
    public void A_backlog_above_the_target_brings_more_instances()
    {
        var run = SmallWorld.Run(
            SmallWorld.Scenario(),
            new FixedRuleFleet(0, One, new(4, 1, 1)),
            Enumerable.Range(0, 20).Select(static _ => SmallWorld.At(1, TrafficClass.Medium, 60)));
        Assert.Equal(420.0, run.Came[0].At, 3);
        Assert.Equal(5, run.Ends.Where(static end => end.At > 480).Max(end => run.Ends.Count(other => other.At == end.At)));
    }

    [Fact]
    public void What_comes_in_an_hour_is_one_job_at_its_end_with_instances_for_half_an_hour()
    {
        // 60 requests of 60 s are 3600 s of work: two instances for half an hour.
        var run = SmallWorld.Run(SmallWorld.Scenario(), new FixedRuleFleet(0, One, FromZero), SmallWorld.Pace(0, 3600, 1, TrafficClass.Low, 60));
        var job = Assert.Single(run.World.Pools, static pool => pool.LaneDefinition.Lane == Lane.Batch);
        Assert.Equal(60, job.Served);
        Assert.All(run.Ends, static end => Assert.True(end.Began >= 3700));
        Assert.Equal(3700.0 + 1800, run.Ends[^1].At, 3);
        Assert.Equal(2 * 1900.0, job.InstanceUs / 1e6, 3);
    }

    [Fact]
    public void A_job_waits_while_as_many_run_as_there_may_be()
    {
        // Each hour's work is two hours of the most instances; only one job may run.
        var run = SmallWorld.Run(SmallWorld.Scenario(), new FixedRuleFleet(0, One, FromZero), SmallWorld.Pace(0, 7200, 8, TrafficClass.Low, 60));
        var jobs = run.World.Pools.Where(static pool => pool.LaneDefinition.Lane == Lane.Batch).ToList();
        Assert.Equal(2, jobs.Count);
        var end = run.Ends.Where(each => each.Pool == jobs[0]).Max(static each => each.At);
        Assert.Equal(end + 100, run.Ends.Where(each => each.Pool == jobs[1]).Min(static each => each.Began), 3);
    }
}
