using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>A job that waits for a slot of a real-time endpoint.</summary>
public sealed class DeferredJobMachineTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 7_200_000;
    private const string Output = "s3://b/jobs/acme/x/output";
    private static readonly InferenceProblem Trouble = new() { Code = ProblemCode.Throttled, Message = "busy" };

    // An instance starts in 100 s, and the slowest calls take 5 s: 140 s before its deadline at the latest, and by its spread sooner.
    private static readonly long InLineFrom = Deadline - (long)((0.5 + JobMachine.SpreadOf("x")) * 140_000);

    [Fact]
    public void It_waits_for_its_turn_registers_again_now_and_then_and_goes_into_line_in_time()
    {
        var job = New();
        Assert.Equal(new(JobAction.Dispatch, 0), job.Next());
        Assert.False(job.MayServe);
        job.Deferred(Output, Start);
        Assert.True(job.MayServe);
        Assert.Equal((JobState.Dispatched, Output), (job.ToView().State, job.ToView().ExpectedOutputLocation));
        var looks = 0;
        for (; job.Next() is { Action: JobAction.Check } look; looks++)
        {
            Assert.InRange(look.At, job.Record.CheckedAt + 300_000, InLineFrom);
            job.NotYet(running: false, look.At);
        }

        Assert.InRange(looks, 2, 24);
        Assert.Equal(new(JobAction.Serve, InLineFrom), job.Next());
        Assert.Equal(Deadline - 64_000, job.LastBegin);
    }

    [Fact]
    public void One_that_finds_no_slot_in_line_tries_again_until_there_is_no_time_for_a_call()
    {
        var job = Waiting();
        var now = InLineFrom;
        job.NotYet(running: false, now - 1);
        var tries = 0;
        for (; job.Next() is { Action: JobAction.Serve } step; tries++)
        {
            Assert.InRange(step.At, now, Deadline);
            now = step.At;
            job.NotYet(running: true, now);
            job.StillDeferred(now);
            Assert.Equal(JobState.Dispatched, job.Record.State);
        }

        Assert.InRange(tries, 3, 20);
        Assert.InRange(now, Deadline - 5_000, Deadline);
        job.NotYet(running: false, Deadline);
        Assert.Equal(new(JobAction.Expire, Deadline), job.Next());
        job.Expire(Deadline);
        Assert.Equal((JobState.Expired, Money.Zero), (job.Record.Ending!.State, job.Record.Ending.Charge));
    }

    [Fact]
    public void Those_that_came_together_go_into_line_at_moments_of_their_own()
    {
        var times = Enumerable.Range(0, 1_000).Select(static i =>
        {
            var job = New($"job-{i}");
            job.Deferred(Output, Start);
            return job.Record.HastenAt;
        }).ToList();
        Assert.All(times, static at => Assert.InRange(at, Deadline - 210_000, Deadline - 140_000));
        Assert.InRange(times.GroupBy(static at => at / 10_000).Max(static some => some.Count()), 1, 250);
        var all = Enumerable.Range(0, 1_000).Select(static i =>
        {
            var job = New($"job-{i}");
            job.Deferred(Output, Start);
            job.NoTurns(Start);
            return job.Record.HastenAt;
        }).ToList();
        Assert.All(all, static at => Assert.InRange(at, Start, Start + 3_600_000));
        Assert.InRange(all.GroupBy(static at => at / 360_000).Max(static some => some.Count()), 1, 200);
    }

    [Fact]
    public void A_turn_without_a_slot_hours_before_its_deadline_does_not_send_it_into_line()
    {
        var job = Waiting();
        job.StillDeferred(Start + 1_000);
        Assert.Equal(InLineFrom, job.Record.HastenAt);
    }

    [Fact]
    public void Its_answer_is_charged_by_its_use_and_its_wait_is_nobodys_measure()
    {
        var job = Waiting();
        job.NotYet(running: true, Start + 50_000);
        job.Served(new(400), Output, "application/json", 2_500, Start + 52_500);
        var ending = job.Record.Ending!;
        Assert.Equal((JobState.Succeeded, Money.FromNanos(2_500_000), 2_500, -1, Output), (ending.State, ending.Charge, ending.ServiceMs, ending.WaitMs, ending.OutputLocation));
        Assert.Equal(job.ChargeOf(new(400), 2_500), ending.Charge);

        // The first end counts.
        job.ServeFailed(Trouble, mayPass: false, ran: true, 9_000, 0, Start + 60_000);
        Assert.Same(ending, job.Record.Ending);
    }

    [Fact]
    public void What_passes_is_tried_again_at_growing_intervals_and_what_does_not_ends_it()
    {
        var job = Waiting();
        var now = Start + 50_000;
        for (var i = 1; i < 10; i++)
        {
            job.ServeFailed(Trouble, mayPass: true, ran: false, 0, 1, now);
            Assert.Equal((JobState.Accepted, JobAction.Dispatch, false), (job.Record.State, job.Next().Action, job.MayServe));
            Assert.Equal(Math.Min(30_000, 500 << (i - 1)), job.Next().At - now);
            now = job.Next().At;
            job.Deferred(Output, now);
        }

        job.ServeFailed(Trouble, mayPass: false, ran: true, 1_000, 1, now);
        Assert.Equal((JobState.Failed, Money.FromNanos(1_000_000), Trouble), (job.Record.Ending!.State, job.Record.Ending.Charge, job.Record.Ending.Problem));
        var never = Waiting();
        never.ServeFailed(Trouble, mayPass: true, ran: false, 0, 1, Deadline - 1);
        Assert.Equal((JobState.Failed, Money.Zero), (never.Record.Ending!.State, never.Record.Ending.Charge));
    }

    [Fact]
    public void What_comes_of_a_call_after_the_end_changes_nothing()
    {
        var job = Waiting();
        job.Cancel(Start + 1_000);
        var record = job.Record;
        job.Served(new(4), Output, null, 1, Start + 2_000);
        job.ServeFailed(Trouble, mayPass: true, ran: false, 0, 0, Start + 2_000);
        job.StillDeferred(Start + 2_000);
        Assert.Same(record, job.Record);
    }

    private static JobMachine Waiting()
    {
        var job = New();
        job.Deferred(Output, Start);
        return job;
    }

    private static JobMachine New(string id = "x") => new(
        new()
        {
            JobId = id,
            Specification = JobSamples.Specification(Lane.Realtime, Start, Deadline),
            Endpoint = JobRecord.Keep(JobSamples.Endpoint(Lane.Realtime)),
            ReservedAt = Start,
        },
        new());
}
