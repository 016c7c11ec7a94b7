using FsCheck.Xunit;
using OrleansInference.Budgets;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

public sealed class HeldJobTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 300_000;
    private static readonly JobTimes Times = new();

    [Fact]
    public void A_held_job_is_told_when_it_has_its_money_and_then_goes_on_as_any_other()
    {
        var job = New();
        Assert.True(job.TryHold(20_000, chance: 0, Start));
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(Start + 20_000), job.ToView().HeldUntil);
        Assert.Equal(JobState.Accepted, job.VisibleState);

        // The ledger tells it; it asks by itself some time after.
        Assert.Equal(new(JobAction.Reserve, Start + 20_000 + 60_000), job.Next());

        job.Funded(Start + 19_000, Start + 20_000);
        Assert.Null(job.ToView().HeldUntil);
        Assert.Equal(Start + 19_000, job.Record.ReservedAt);
        Assert.Equal(new(JobAction.Dispatch, 0), job.Next());

        // The wait for money is none of the lane's.
        job.Dispatched("s3://b/out", null, Start + 20_000);
        job.Answered(new(100, 90, 20, ServiceMs: 1_500), "s3://b/out", null, Start + 30_000);
        Assert.Equal(8_500, job.Record.Ending!.WaitMs);
    }

    [Theory]
    [InlineData(true, 297_999, true)]
    [InlineData(true, 298_000, false)]
    [InlineData(true, 0, false)]
    [InlineData(false, 20_000, false)]
    public void A_job_is_held_only_if_asked_for_and_if_the_money_comes_while_it_can_still_be_answered(bool mayHold, long retryAfterMs, bool held)
    {
        var job = New(mayHold);
        Assert.Equal(held, job.TryHold(retryAfterMs, 0.5, Start));
        Assert.Equal(held, job.IsHeld);
    }

    [Fact]
    public void Money_that_never_frees_lets_it_expire_at_its_deadline_for_nothing()
    {
        var job = New();
        Assert.True(job.TryHold(1_000, 0.5, Start));
        var questions = 0;
        while (job.Next() is { Action: JobAction.Reserve } step)
        {
            job.StillHeld(questions % 2 == 0 ? 0 : 1_000_000, 0.5, step.At);
            questions++;
        }

        Assert.InRange(questions, 1, 10);
        Assert.Equal(new(JobAction.Expire, Deadline), job.Next());
        job.Expire(Deadline);
        job.SettlementTaken();
        Assert.Equal(JobState.Expired, job.VisibleState);
        Assert.Equal(Money.Zero, job.ToView().Route.Charge);
        Assert.Contains("held for the tenant's budget", job.ToView().Problem!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Money_that_comes_after_the_end_changes_nothing()
    {
        var job = New();
        Assert.True(job.TryHold(20_000, 0.5, Start));
        job.Cancel(Start + 1_000);
        job.Funded(Start + 2_000, Start + 2_000);
        job.StillHeld(5_000, 0.5, Start + 3_000);
        Assert.Equal(JobState.Cancelled, job.Record.Ending!.State);
        Assert.Equal(JobAction.Settle, job.Next().Action);
    }

    [Property]
    public bool A_held_job_asks_again_within_the_bound_and_never_after_its_deadline(ushort[] retries, byte chance)
    {
        var job = New();
        job.TryHold(1, chance / 255.0, Start);
        var now = Start;
        foreach (var retry in retries)
        {
            var step = job.Next();
            if (step.Action == JobAction.Expire)
            {
                return step.At == Deadline;
            }

            if (step.Action != JobAction.Reserve || step.At <= now || step.At > now + BudgetWait.AskAtMostEveryMs)
            {
                return false;
            }

            now = step.At;
            job.StillHeld(retry * 10L, chance / 255.0, now);
        }

        return true;
    }

    [Fact]
    public void A_job_that_is_taken_up_again_asks_soon()
    {
        var job = New();
        Assert.True(job.TryHold(200_000, 0.5, Start));
        job.TakenUp(0.5, Start + 1_000);
        Assert.Equal(new(JobAction.Reserve, Start + 31_000), job.Next());
        job.Funded(Start, Start + 2_000);
        job.TakenUp(0.5, Start + 3_000);
        Assert.Equal(new(JobAction.Dispatch, 0), job.Next());
    }

    [Fact]
    public void Held_jobs_are_bounded_and_a_forgotten_one_counts_until_its_deadline()
    {
        var held = new HeldJobs();
        Assert.True(held.TryAdd(new("a", Until: 100), most: 2, now: 0));
        Assert.True(held.TryAdd(new("b", Until: 200), most: 2, now: 0));
        Assert.False(held.TryAdd(new("c", Until: 300), most: 2, now: 99));
        Assert.True(held.TryAdd(new("b", Until: 200), most: 2, now: 99));

        held = new(held.ToState());
        Assert.False(held.TryAdd(new("c", Until: 300), most: 2, now: 99));
        Assert.True(held.TryAdd(new("c", Until: 300), most: 2, now: 100));
        Assert.True(held.Remove("b"));
        Assert.True(held.Remove("c"));
        Assert.False(held.Remove("c"));
        Assert.Null(held.ToState());
    }

    private static JobMachine New(bool mayHold = true) => new(
        new()
        {
            JobId = "x",
            Specification = JobSamples.Specification(Lane.Async, Start, Deadline) with { MayHold = mayHold },
            Endpoint = JobSamples.Endpoint(Lane.Async),
            ReservationId = "acme/x/1",
        },
        Times);
}
