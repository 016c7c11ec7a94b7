using FsCheck.Xunit;
using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

public sealed class DeferredWorkTests
{
    private const long Now = 1_000_000_000;

    [Property]
    public bool The_earliest_deadline_is_taken_first_and_of_equal_ones_the_first_that_came(byte[] minutes)
    {
        var work = new DeferredWork<int>();
        for (var i = 0; i < minutes.Length; i++)
        {
            work.Add(i, Now + (minutes[i] * 60_000L), 100, Now);
        }

        var taken = new List<int>();
        while (work.TryTake(out var item, out _))
        {
            taken.Add(item);
        }

        return work is { Count: 0, WorkMs: 0, EarliestDeadline: long.MaxValue } && taken.SequenceEqual(Enumerable.Range(0, minutes.Length).OrderBy(i => minutes[i]));
    }

    [Fact]
    public void Work_that_is_spread_evenly_over_its_time_goes_on_to_need_the_same_slots()
    {
        // 3,600 requests of a minute, due in ten hours: six at a time.
        var work = new DeferredWork<int>();
        for (var i = 0; i < 3_600; i++)
        {
            work.Add(i, Now + 36_000_000, 60_000, Now);
        }

        for (var now = Now; now < Now + 30_000_000; now += 60_000)
        {
            // The deadline is taken to be the minute's beginning.
            var left = Now + 36_000_000 - now;
            Assert.InRange(work.SlotsNeeded(now, 0), 5.99, 6.0 * left / (left - DeferredWork<int>.GrainMs));
            for (var i = 0; i < 6; i++)
            {
                Assert.True(work.TryTake(out _, out _));
            }
        }
    }

    [Property]
    public bool Slots_needed_are_those_of_the_tightest_deadline(ushort[] minutes)
    {
        var work = new DeferredWork<int>();
        foreach (var minute in minutes)
        {
            work.Add(0, Now + ((minute % 3000) * 60_000L), 1_000, Now);
        }

        // Deadlines are told apart by the minute.
        static long Grain(long at) => at / DeferredWork<int>.GrainMs * DeferredWork<int>.GrainMs;
        var slow = minutes.Select(minute => Grain(Now + ((minute % 3000) * 60_000L))).Distinct().Select(due =>
            minutes.Count(minute => Grain(Now + ((minute % 3000) * 60_000L)) <= due) * 1000.0 / Math.Max(DeferredWork<int>.GrainMs, due - Now - 120_000)).DefaultIfEmpty(0).Max();
        return Math.Abs(slow - work.SlotsNeeded(Now, 120_000)) < 1e-9;
    }

    [Fact]
    public void A_deadline_beyond_three_days_counts_as_nearer_and_nothing_is_lost()
    {
        var work = new DeferredWork<string>();
        work.Add("late", Now + (30L * 86_400_000), 5, Now);
        work.Add("soon", Now + 1, 5, Now);
        Assert.True(work.TryTake(out var first, out _));
        Assert.True(work.TryTake(out var second, out var deadline));
        Assert.Equal(("soon", "late"), (first, second));
        Assert.True(deadline <= Now + (3L * 86_400_000));
        Assert.Equal(0, work.SlotsNeeded(Now, 0));
    }
}
