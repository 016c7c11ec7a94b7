using FsCheck.Xunit;
using OrleansInference.Queueing;

namespace OrleansInference.Tests.Queueing;

public sealed class DeferredTurnsTests
{
    private const long Now = 1_000_000_000;
    private const long Hour = 3_600_000;

    [Property]
    public void Each_job_is_in_one_place_and_turns_come_by_deadline(byte[] steps)
    {
        // Every deadline is within the three days over which they are told apart.
        var turns = new DeferredTurns(most: 20);
        var (waiting, begun) = (new Dictionary<string, long>(), new HashSet<string>());
        foreach (var (step, i) in steps.Select(static (step, i) => (step, i)))
        {
            var job = $"acme/{step % 40}";
            var now = Now + i;
            switch (step % 3)
            {
                case 0:
                    var isKnown = waiting.ContainsKey(job) || begun.Contains(job);
                    Assert.Equal(isKnown || waiting.Count < 20, turns.TryAdd(job, Now + Hour + (step * 900_000L), 1_000, now));
                    if (!isKnown && waiting.Count < 20)
                    {
                        waiting.Add(job, Now + Hour + (step * 900_000L));
                    }

                    break;
                case 1:
                    Assert.Equal(waiting.Count > 0, turns.TryBegin(now, out var next));
                    if (next is not null)
                    {
                        Assert.Equal(waiting.Values.Min(), waiting[next]);
                        waiting.Remove(next);
                        begun.Add(next);
                    }

                    break;
                default:
                    turns.Ended(job);
                    begun.Remove(job);
                    waiting.Remove(job);
                    break;
            }

            Assert.Equal((waiting.Count, begun.Count, waiting.Count * 1_000L), (turns.Waiting, turns.Begun, turns.WorkMs));
        }
    }

    [Fact]
    public void One_that_is_not_heard_of_again_waits_again()
    {
        var turns = new DeferredTurns();
        Assert.True(turns.TryAdd("acme/a", Now + Hour, 1_000, Now));
        Assert.True(turns.TryAdd("acme/b", Now + (2 * Hour), 1_000, Now));
        Assert.True(turns.TryBegin(Now, out var first));
        Assert.True(turns.TryBegin(Now + 1_000, out var second));
        Assert.Equal(("acme/a", "acme/b"), (first, second));

        // While it has its turn it cannot have another.
        Assert.True(turns.TryAdd("acme/a", Now + Hour, 1_000, Now));
        Assert.Equal((0, 2), (turns.Waiting, turns.Begun));
        turns.Recall(Now + 500, Now + 10_000);
        Assert.Equal((1, 1), (turns.Waiting, turns.Begun));
        Assert.True(turns.TryBegin(Now + 10_000, out var again));
        Assert.Equal("acme/a", again);
    }

    [Fact]
    public void What_is_overdue_and_what_is_due_in_a_year_are_not_taken_for_each_other()
    {
        var turns = new DeferredTurns();
        turns.TryAdd("acme/a", Now + 60_000, 1_000, Now);
        turns.TryAdd("acme/b", Now + (365 * 24 * Hour), 1_000_000, Now + (30 * 60_000));

        // Half an hour overdue: one second of work in the next minute, and the rest in three days.
        Assert.InRange(turns.SlotsNeeded(Now + (30 * 60_000), 0), 0.016, 0.017);
        turns.Ended("acme/a");
        Assert.InRange(turns.SlotsNeeded(Now + (30 * 60_000), 0), 0.0038, 0.004);
        Assert.Equal((1, 1_000_000), (turns.Waiting, turns.WorkMs));
    }

    [Fact]
    public void Those_who_are_due_after_three_days_come_as_they_came()
    {
        var turns = new DeferredTurns();
        turns.TryAdd("acme/a", Now + (200 * Hour), 1_000, Now);
        turns.TryAdd("acme/b", Now + (100 * Hour), 1_000, Now + 1);
        turns.TryAdd("acme/c", Now + (70 * Hour), 1_000, Now + 2);
        Assert.True(turns.TryBegin(Now + 3, out var first));
        Assert.True(turns.TryBegin(Now + 3, out var second));
        Assert.True(turns.TryBegin(Now + 3, out var third));
        Assert.Equal(("acme/c", "acme/a", "acme/b"), (first, second, third));
    }

    [Fact]
    public void Who_is_due_and_what_is_needed_is_of_those_who_wait()
    {
        var turns = new DeferredTurns();
        Assert.Equal((false, 0.0), (turns.IsDue(Now, Hour), turns.SlotsNeeded(Now, 0)));
        turns.TryAdd("acme/a", Now + (2 * Hour), (int)Hour, Now);
        Assert.False(turns.IsDue(Now, Hour));
        Assert.True(turns.IsDue(Now + Hour, Hour));
        Assert.InRange(turns.SlotsNeeded(Now, 0), 0.5, 0.52);
        turns.TryBegin(Now, out _);
        Assert.Equal((false, 0.0), (turns.IsDue(Now + Hour, Hour), turns.SlotsNeeded(Now, 0)));
    }
}
