using FsCheck.Xunit;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

public sealed class JobMachineTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 300_000;
    private static readonly ReplyOutcome Failed = new(ReplyFate.Failed, "The receiver answered 503.");
    private static readonly InferenceProblem Trouble = new() { Code = ProblemCode.Throttled, Message = "busy" };

    [Fact]
    public void A_job_whose_end_is_not_notified_is_looked_for_when_it_is_likely_to_have_ended()
    {
        var job = New(Lane.Async);
        job.Dispatched("s3://b/out", "s3://b/fail", Start);
        Assert.Equal(new(JobAction.Check, Start + 2_000), job.Next());
        job.NotYet(running: false, Start + 2_000);
        Assert.Equal(new(JobAction.Check, Start + 3_000), job.Next());
    }

    [Property]
    public void A_job_whose_end_is_notified_is_looked_for_only_when_the_word_is_late(uint seconds, uint id)
    {
        var left = Math.Max(60, seconds % 1_000_000) * 1000L;
        var specification = JobSamples.Specification(Lane.Async, Start, Start + left, Money.FromNanos(1));
        var job = new JobMachine(new() { JobId = $"job-{id}", Specification = specification, Endpoint = JobSamples.Endpoint(Lane.Async) }, new() { Notified = true, CheckAtMostEveryMs = 3_600_000 });
        job.Dispatched("s3://b/out", "s3://b/fail", Start);
        var latest = Math.Max(5_000, Math.Min(900_000, left / 4));
        var first = job.Next();
        Assert.Equal(JobAction.Check, first.Action);
        Assert.InRange(first.At - Start, Math.Max(5_000, latest / 2), latest);
        Assert.True(first.At - Start < 120_000 || left < 480_000 || job.RestsUntil(Start) == first.At);
        job.NotYet(running: false, first.At);
        Assert.Equal(new(JobAction.Check, Math.Min(Start + left, first.At + ((first.At - Start) / 2))), job.Next());
    }

    [Fact]
    public void Jobs_that_came_together_do_not_all_come_back_together()
    {
        var looks = Enumerable.Range(0, 1_000).Select(static i =>
        {
            var specification = JobSamples.Specification(Lane.Async, Start, Start + 86_400_000, Money.FromNanos(1));
            var job = new JobMachine(new() { JobId = $"job-{i}", Specification = specification, Endpoint = JobSamples.Endpoint(Lane.Async) }, new() { Notified = true, CheckAtMostEveryMs = 3_600_000 });
            job.Dispatched("s3://b/out", "s3://b/fail", Start);
            return job.Next().At - Start;
        });
        Assert.InRange(looks.GroupBy(static at => at / 45_000).Max(static minute => minute.Count()), 1, 200);
    }

    [Fact]
    public void An_ended_job_rests_until_it_is_deleted_once_its_end_is_settled()
    {
        var job = New(Lane.Async);
        job.Cancel(Start);
        job.SettlementFailed(0.5, Start + 600_000);
        Assert.Null(job.RestsUntil(Start));
        job.SettlementTaken();
        Assert.Equal(job.KeptUntil, job.RestsUntil(Start));
        Assert.Null(job.RestsUntil(job.KeptUntil - 1_000));
    }

    [Fact]
    public void A_job_that_is_polled_rests_once_it_has_waited_long()
    {
        var specification = JobSamples.Specification(Lane.Async, Start, Start + 86_400_000, Money.FromNanos(1));
        var job = new JobMachine(new() { JobId = "j", Specification = specification, Endpoint = JobSamples.Endpoint(Lane.Async) }, new());
        job.Dispatched("s3://b/out", null, Start);
        var now = Start;
        for (; job.RestsUntil(now) is null; job.NotYet(running: true, now))
        {
            now = job.Next().At;
            Assert.True(now < Start + 900_000);
        }

        Assert.InRange(now - Start, 480_000, 900_000);
    }

    [Fact]
    public void An_accepted_job_is_dispatched_at_once_and_looked_for_ever_more_rarely()
    {
        var job = New(Lane.Async);
        Assert.Equal(new(JobAction.Dispatch, 0), job.Next());
        job.Dispatched("s3://b/out", "s3://b/fail", Start);
        List<long> gaps = [];
        for (long now = Start; now < Deadline - 100_000;)
        {
            var next = job.Next();
            Assert.Equal(JobAction.Check, next.Action);
            gaps.Add(next.At - now);
            now = next.At;
            job.NotYet(running: false, now);
        }

        Assert.Equal(2_000, gaps[0]);
        Assert.Equal(gaps.Skip(1).Order(), gaps.Skip(1));
        Assert.InRange(gaps.Count, 5, 30);
    }

    [Property]
    public void A_job_rests_only_as_long_as_there_is_time_for_four_reminders_before_its_deadline(ushort seconds, bool batch)
    {
        var times = new JobTimes();
        var lane = batch ? Lane.Batch : Lane.Async;
        var deadline = Start + (seconds * 1000L);
        var job = new JobMachine(new() { JobId = "j", Specification = JobSamples.Specification(lane, Start, deadline, Money.FromNanos(1)), Endpoint = JobSamples.Endpoint(lane) }, times);
        if (batch)
        {
            job.Joined("w", Start);
        }
        else
        {
            job.Dispatched("s3://b/out", null, Start);
        }

        for (long now = Start; now < deadline; now = Math.Max(now + 1, job.Next().At))
        {
            job.NotYet(running: false, now);
            if (job.Next().Action == JobAction.Hasten && job.Next().At <= now)
            {
                job.Stays(now);
            }

            var every = job.RecoverEveryMs(now);
            Assert.InRange(every, times.RecoverAtLeastEveryMs, times.RecoverAtMostEveryMs);
            if (job.RestsUntil(now) is { } until)
            {
                // It is back for its step, or while there is time for four reminders.
                Assert.Equal(Math.Min(job.Next().At, deadline - (4 * times.RecoverAtLeastEveryMs)), until);
                Assert.True(until >= now + times.RestFromMs);
                Assert.True(4 * job.RecoverEveryMs(until) <= deadline - until);
            }
            else
            {
                // What stays is soon done, or ends soon.
                Assert.True(job.Next().At < now + times.RestFromMs || deadline < now + times.RestFromMs + (4 * times.RecoverAtLeastEveryMs));
            }
        }

        job.Cancel(deadline);
        Assert.Null(job.RestsUntil(Start));
    }

    [Fact]
    public void A_member_of_a_window_looks_for_a_faster_lane_as_its_deadline_nears_and_ever_sooner()
    {
        var job = New(Lane.Batch);
        job.Joined("chat-batch/1", Start);

        // A start of 100 s and a quarter, and three of the slowest records' 5 s.
        Assert.Equal(new(JobAction.Hasten, Deadline - 140_000), job.Next());
        job.Stays(Deadline - 140_000);
        Assert.Equal(new(JobAction.Hasten, Deadline - 70_000), job.Next());
        job.Stays(Deadline - 1_000);
        Assert.Equal(new(JobAction.Expire, Deadline), job.Next());

        var tight = New(Lane.Batch);
        tight.Joined("chat-batch/1", Deadline - 100_000);
        Assert.Equal(new(JobAction.Hasten, Deadline - 50_000), tight.Next());
    }

    [Fact]
    public void A_job_that_was_moved_goes_by_its_new_lane_and_takes_a_result_of_its_window_but_not_its_failure()
    {
        var job = New(Lane.Batch);
        job.Joined("chat-batch/1", Start);
        var old = job.Record;
        var faster = new JobLane(JobSamples.Specification(Lane.Async, Start, Deadline, Money.FromNanos(90_000_000)).Route, JobSamples.Endpoint(Lane.Async), "r2");
        job.Moved(1);
        Assert.Same(old, job.Record);
        job.Hastening(faster);
        Assert.Equal(JobAction.Hasten, job.Next().Action);
        job.Moved(Start + 7);
        Assert.Equal(("r2", Start + 7, Lane.Async), (job.Record.ReservationId, job.Record.ReservedAt, job.Record.Specification.Route.Lane));
        Assert.Equal(new JobLane(old.Specification.Route, old.Endpoint, old.ReservationId), job.Record.Before);
        Assert.Equal(JobAction.Dispatch, job.Next().Action);

        Assert.False(job.WindowEnded(new() { Failure = "The transform job was stopped." }, null, null, Start + 8));
        Assert.Null(job.Record.Ending);
        Assert.True(job.WindowEnded(new() { OutputKey = "k", Charge = Money.FromNanos(100_000_000) }, "s3://b/k", "application/json", Start + 9));
        Assert.Equal((JobState.Succeeded, Money.FromNanos(90_000_000)), (job.Record.Ending!.State, job.Record.Ending.Charge));
    }

    [Fact]
    public void An_end_is_told_after_it_is_settled_and_tried_as_long_as_the_job_is_kept()
    {
        var job = Telling(new() { Queue = "answers" });
        job.Cancel(Start);
        Assert.Equal(JobAction.Settle, job.Next().Action);
        job.SettlementTaken();
        Assert.Equal(new(JobAction.Reply, 0), job.Next());
        var tries = 0;
        for (var now = Start; job.Next().Action == JobAction.Reply; now = Math.Max(now, job.Next().At))
        {
            job.ReplyTried(Failed, chance: 1, now);
            Assert.InRange(job.Next().At - now, 1, Math.Max(300_000, job.KeptUntil - now));
            tries++;
        }

        Assert.InRange(tries, 200, 400);
        Assert.Equal(new(JobAction.Purge, Start + 86_400_000), job.Next());
        Assert.False(job.OwesReply);
        Assert.Equal(new JobReplyView { State = ReplyState.GivenUp, Tries = tries, Problem = Failed.Problem }, job.ToView().Reply);
    }

    [Fact]
    public void A_webhook_is_tried_ever_more_rarely_for_a_bounded_time()
    {
        var times = new JobTimes { WebhookRetryForMs = 36_000_000, WebhookRetryAtMostEveryMs = 1_800_000 };
        var job = Ended(new() { Webhook = "https://hooks.example.com/" }, times);
        List<long> gaps = [];
        var now = Start;
        for (; job.Next().Action == JobAction.Reply; now = job.Next().At)
        {
            job.ReplyTried(Failed, chance: 1, now);
            if (job.OwesReply)
            {
                gaps.Add(job.Next().At - now);
                Assert.Equal(new JobReplyView { State = ReplyState.Pending, Tries = gaps.Count, Problem = Failed.Problem, NextTryAt = DateTimeOffset.FromUnixTimeMilliseconds(job.Next().At) }, job.ToView().Reply);
            }
        }

        Assert.Equal(5_000, gaps[0]);
        Assert.Equal(gaps.Order(), gaps);
        Assert.Equal(1_800_000, gaps[^1]);
        Assert.InRange(gaps.Sum(), 36_000_000 - 1_800_000, 36_000_000);
        Assert.Equal((ReplyState.GivenUp, gaps.Count + 1), (job.ToView().Reply!.State, job.ToView().Reply!.Tries));
        Assert.Equal(new(JobAction.Purge, Start + 86_400_000), job.Next());
    }

    [Fact]
    public void A_receiver_may_ask_for_more_time_within_bounds_and_end_it_for_good()
    {
        var job = Ended(new() { Webhook = "https://hooks.example.com/" }, new());
        job.ReplyTried(Failed with { RetryAfterMs = 60_000 }, chance: 0, Start);
        Assert.Equal(new(JobAction.Reply, Start + 60_000), job.Next());
        job.ReplyTried(Failed with { RetryAfterMs = 999_000_000 }, chance: 0, Start + 60_000);
        Assert.Equal(new(JobAction.Reply, Start + 60_000 + 3_600_000), job.Next());
        job.ReplyTried(new(ReplyFate.Busy, "many"), chance: 0, Start + 3_660_000);
        Assert.InRange(job.Next().At - (Start + 3_660_000), 1, 60_000);
        Assert.Equal(2, job.ToView().Reply!.Tries);
        job.ReplyTried(new(ReplyFate.Refused, "gone"), chance: 0, Start + 3_700_000);
        Assert.Equal(new JobReplyView { State = ReplyState.GivenUp, Tries = 3, Problem = "gone" }, job.ToView().Reply);
        Assert.Equal(JobAction.Purge, job.Next().Action);

        // What is over stays so.
        job.ReplyTried(ReplyOutcome.Sent, chance: 0, Start + 3_700_000);
        Assert.Equal(ReplyState.GivenUp, job.ToView().Reply!.State);
    }

    [Fact]
    public void A_webhook_that_nobody_could_try_in_time_is_tried_once_more_while_the_job_is_kept()
    {
        var job = Ended(new() { Webhook = "https://hooks.example.com/" }, new() { WebhookRetryForMs = 3_600_000 });
        job.ReplyTried(Failed, chance: 1, Start);
        var restarted = new JobMachine(job.Record, new() { WebhookRetryForMs = 3_600_000 });
        Assert.Equal(new(JobAction.Reply, Start + 5_000), restarted.Next());
        restarted.ReplyTried(ReplyOutcome.Sent, chance: 1, Start + 80_000_000);
        Assert.Equal(new JobReplyView { State = ReplyState.Sent, Tries = 2 }, restarted.ToView().Reply);
        Assert.Equal(new(JobAction.Purge, Start + 86_400_000), restarted.Next());
    }

    [Fact]
    public void The_last_look_is_at_the_deadline_and_then_it_expires_without_a_charge()
    {
        var job = New(Lane.Async);
        job.Dispatched("s3://b/out", null, Start);
        job.NotYet(running: false, Deadline - 10);
        Assert.Equal(new(JobAction.Check, Deadline), job.Next());
        job.NotYet(running: false, Deadline);
        Assert.Equal(new(JobAction.Expire, Deadline), job.Next());
        job.Expire(Deadline);
        Assert.Equal(JobState.Dispatched, job.VisibleState);
        Assert.Equal(JobAction.Settle, job.Next().Action);
        job.SettlementTaken();
        Assert.Equal(JobState.Expired, job.VisibleState);
        Assert.Equal(Money.Zero, job.ToView().Route.Charge);
        Assert.Equal(ProblemCode.DeadlineExceeded, job.ToView().Problem!.Code);
        Assert.Equal(new(JobAction.Purge, Deadline + 86_400_000), job.Next());
    }

    [Fact]
    public void An_answer_that_tells_its_service_time_is_charged_for_it()
    {
        var job = New(Lane.Async);
        job.Dispatched("s3://b/out", null, Start);
        job.Answered(new(100, 90, 20, ServiceMs: 1_500), "s3://b/out", "application/json", Start + 200_000);
        Assert.Equal(Money.FromNanos(1_500_000), job.Record.Ending!.Charge);
        Assert.Equal(1_500, job.Record.Ending.ServiceMs);
        Assert.Equal(198_500, job.Record.Ending.WaitMs);
    }

    [Fact]
    public void A_tenant_does_not_pay_for_the_queue_of_an_async_endpoint()
    {
        var job = New(Lane.Async);
        job.Dispatched("s3://b/out", null, Start);
        job.Answered(new(100), "s3://b/out", null, Start + 200_000);
        Assert.Equal(Money.FromNanos(5_000_000), job.Record.Ending!.Charge);
        Assert.Equal(0, job.Record.Ending.ServiceMs);
    }

    [Theory]
    [InlineData(3_000, 3_000_000)]
    [InlineData(200_000, 5_000_000)]
    public void A_failure_that_the_model_reported_is_charged_for_its_time_as_an_answer_would_be(long after, long nanos)
    {
        var job = New(Lane.Async);
        job.Dispatched("s3://b/out", "s3://b/fail", Start);
        job.ModelFailed(Trouble, ran: true, Start + after);
        Assert.Equal((JobState.Failed, Money.FromNanos(nanos)), (job.Record.Ending!.State, job.Record.Ending.Charge));
    }

    [Fact]
    public void A_failed_job_that_is_not_known_to_have_run_is_charged_nothing()
    {
        var unread = New(Lane.Async);
        unread.Dispatched("s3://b/out", "s3://b/fail", Start);
        unread.ModelFailed(Trouble, ran: false, Start + 3_000);
        var record = New(Lane.Batch);
        record.Joined("w/1", Start);
        record.WindowEnded(new() { Failure = "no output", Charge = Money.FromNanos(5) }, location: null, contentType: null, Start + 3_000);
        Assert.All([unread, record], static job => Assert.Equal((JobState.Failed, Money.Zero), (job.Record.Ending!.State, job.Record.Ending.Charge)));
    }

    [Fact]
    public void Throttling_is_tried_again_and_a_refusal_is_not()
    {
        var throttled = New(Lane.Async);
        throttled.DispatchFailed(Trouble, mayPass: true, chance: 1, Start);
        Assert.Equal(new(JobAction.Dispatch, Start + 500), throttled.Next());
        throttled.DispatchFailed(Trouble, mayPass: true, chance: 1, Start + 500);
        Assert.Equal(new(JobAction.Dispatch, Start + 1_500), throttled.Next());

        var refused = New(Lane.Async);
        refused.DispatchFailed(Trouble, mayPass: false, chance: 1, Start);
        Assert.Equal(JobState.Failed, refused.Record.Ending!.State);
    }

    [Fact]
    public void The_first_end_counts_and_a_window_learns_that_its_result_has_no_owner()
    {
        var job = New(Lane.Batch);
        job.Joined("chat-batch/1", Start);
        job.Cancel(Start + 5);
        Assert.False(job.WindowEnded(new() { OutputKey = "k", Charge = Money.FromNanos(5) }, "s3://b/k", null, Start + 6));
        Assert.Equal(JobState.Cancelled, job.Record.Ending!.State);
        Assert.Equal(Money.Zero, job.Record.Ending.Charge);
    }

    [Fact]
    public void A_windows_charge_is_bounded_by_the_jobs_cap_and_repeating_it_changes_nothing()
    {
        var job = New(Lane.Batch, Money.FromNanos(100));
        job.Joined("chat-batch/1", Start);
        Assert.True(job.WindowEnded(new() { OutputKey = "k", Charge = Money.FromNanos(500), StartedAt = Start + 50 }, "s3://b/k", null, Start + 60));
        Assert.True(job.WindowEnded(new() { OutputKey = "k", Charge = Money.FromNanos(7) }, "s3://b/k", null, Start + 70));
        Assert.Equal(Money.FromNanos(100), job.Record.Ending!.Charge);
        Assert.Equal(Start + 60, job.Record.Ending.At);
    }

    [Fact]
    public void The_same_key_is_another_request_if_the_body_or_the_model_differs()
    {
        var one = JobSamples.Specification(Lane.Async, Start, Deadline);
        Assert.True(JobMachine.IsSame(one, one with { InputKey = "other", AcceptedAt = Start + 1 }));
        Assert.False(JobMachine.IsSame(one, one with { BodyHash = "bb" }));
        Assert.False(JobMachine.IsSame(one, one with { Request = one.Request with { Model = new("other") } }));
    }

    /// <summary>Whatever happens in whatever order: one end, decided once, charged at most the cap and only for what a model did, and time leads to it.</summary>
    [Property(MaxTest = 500)]
    public void Any_history_ends_once_within_its_cap(byte[] events, bool batch)
    {
        var job = New(batch ? Lane.Batch : Lane.Async, Money.FromNanos(3_000_000));
        var now = Start;
        JobEnding? ending = null;
        foreach (var e in events)
        {
            now += e * 100L;
            switch (e % 10)
            {
                case 0: job.Dispatched("s3://b/out", "s3://b/f", now); break;
                case 1: job.Joined("w/1", now); break;
                case 2: job.DispatchFailed(Trouble, e > 128, e / 255.0, now); break;
                case 3: job.NotYet(e > 100, now); break;
                case 4: job.Answered(new(e, e, e, e), "s3://b/out", null, now); break;
                case 5: job.ModelFailed(Trouble, ran: e > 128, now); break;
                case 6: job.WindowEnded(new() { Charge = Money.FromNanos(e * 100_000L) }, e > 100 ? "s3://b/k" : null, null, now); break;
                case 7: job.Cancel(now); break;
                case 8: job.Expire(now); break;
                default: job.SettlementTaken(); break;
            }

            if (ending is not null)
            {
                Assert.Same(ending, job.Record.Ending);
            }

            ending = job.Record.Ending;
            Assert.Equal(ending is not null && job.Record.Settled, job.VisibleState >= JobState.Succeeded);
            if (ending is not null)
            {
                Assert.InRange(ending.Charge, Money.Zero, Money.FromNanos(3_000_000));
                Assert.True(ending.Charge == Money.Zero || ending.State is JobState.Succeeded or JobState.Failed);
            }
        }

        for (var steps = 0; ; steps++)
        {
            Assert.InRange(steps, 0, 200);
            var step = job.Next();
            now = Math.Max(now, step.At);
            if (step.Action == JobAction.Purge)
            {
                break;
            }

            switch (step.Action)
            {
                case JobAction.Dispatch: job.DispatchFailed(Trouble, mayPass: true, 0.5, now); break;
                case JobAction.Check: job.NotYet(running: false, now); break;
                case JobAction.Hasten: job.Stays(now); break;
                case JobAction.Expire: job.Expire(now); break;
                default: job.SettlementTaken(); break;
            }
        }

        Assert.True(job.VisibleState >= JobState.Succeeded);
    }

    private static JobMachine Telling(ReplyTo to, JobTimes? times = null)
    {
        var plain = New(Lane.Async).Record;
        return new(plain with { Specification = plain.Specification with { Request = plain.Specification.Request with { ReplyTo = to } } }, times ?? new());
    }

    private static JobMachine Ended(ReplyTo to, JobTimes times)
    {
        var job = Telling(to, times);
        Assert.Equal(new JobReplyView { State = ReplyState.Pending }, job.ToView().Reply);
        job.Cancel(Start);
        job.SettlementTaken();
        Assert.Equal(new(JobAction.Reply, 0), job.Next());
        return job;
    }

    private static JobMachine New(Lane lane, Money? cap = null) => new(
        new()
        {
            JobId = "x",
            Specification = JobSamples.Specification(lane, Start, Deadline, cap),
            Endpoint = JobSamples.Endpoint(lane),
            ReservedAt = Start,
        },
        new());
}
