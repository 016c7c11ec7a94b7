using OrleansInference.Simulator.Policies.Baselines;

namespace OrleansInference.Tests.Policies;

public sealed class TargetTrackerTests
{
    private const long Minute = 60_000_000;

    [Fact]
    public void Three_minutes_above_the_target_scale_out_to_the_load_by_the_target_rounded_up()
    {
        var tracker = new TargetTracker(100, 1, 10);
        Assert.Equal([2, 2, 5], Follow(tracker, 2, [401, 401, 401]));
    }

    [Fact]
    public void Two_minutes_above_the_target_change_nothing_and_the_count_begins_anew()
    {
        var tracker = new TargetTracker(100, 1, 10);
        Assert.Equal([2, 2, 2, 2, 2, 4], Follow(tracker, 2, [301, 301, 200, 301, 301, 301]));
    }

    [Fact]
    public void Fifteen_minutes_below_nine_tenths_of_the_target_scale_in()
    {
        var tracker = new TargetTracker(100, 1, 10);
        Assert.Equal([.. Enumerable.Repeat(4, 14), 3], Follow(tracker, 4, Enumerable.Repeat(210.0, 15)));
    }

    [Fact]
    public void Between_nine_tenths_and_the_target_nothing_changes()
    {
        var tracker = new TargetTracker(100, 1, 10);
        Assert.All(Follow(tracker, 4, Enumerable.Repeat(365.0, 60)), static wanted => Assert.Equal(4, wanted));
    }

    [Fact]
    public void A_scale_in_waits_for_the_cooldown_of_the_one_before_and_a_scale_out_does_not()
    {
        var tracker = new TargetTracker(100, 1, 10, cooldownSeconds: 300);
        var load = Enumerable.Repeat(250.0, 15).Concat(Enumerable.Repeat(110.0, 5)).Concat(Enumerable.Repeat(900.0, 3));
        Assert.Equal([.. Enumerable.Repeat(4, 14), 3, 3, 3, 3, 3, 2, 2, 2, 9], Follow(tracker, 4, load));
    }

    [Fact]
    public void Bounds_hold()
    {
        var tracker = new TargetTracker(100, 2, 6);
        Assert.Equal([3, 3, 6], Follow(tracker, 3, Enumerable.Repeat(5000.0, 3)));
        Assert.Equal(2, Follow(tracker, 6, Enumerable.Repeat(0.0, 60))[^1]);
    }

    [Fact]
    public void Instances_that_do_not_serve_yet_are_part_of_the_capacity()
    {
        var tracker = new TargetTracker(100, 1, 10);
        int[] wanted = [2, 2, 2, 2, 2, 2, 2];
        for (var minute = 0; minute < wanted.Length; minute++)
        {
            // Two more are on their way from the third minute on.
            wanted[minute] = tracker.Observe(minute < 5 ? 400 : 500, 2, minute == 0 ? 2 : wanted[minute - 1], minute * Minute);
        }

        Assert.Equal([2, 2, 4, 4, 4, 5, 5], wanted);
    }

    [Fact]
    public void While_nothing_can_be_changed_the_alarm_goes_on()
    {
        var tracker = new TargetTracker(100, 1, 10);
        var wanted = Enumerable.Range(1, 5).Select(minute => tracker.Observe(401, 2, 2, minute * Minute, canChange: minute > 4));
        Assert.Equal([2, 2, 2, 2, 5], wanted);
    }

    private static List<int> Follow(TargetTracker tracker, int instances, IEnumerable<double> totals)
    {
        var wanted = new List<int>();
        var now = 0L;
        foreach (var total in totals)
        {
            now += Minute;
            instances = tracker.Observe(total, instances, instances, now);
            wanted.Add(instances);
        }

        return wanted;
    }
}
