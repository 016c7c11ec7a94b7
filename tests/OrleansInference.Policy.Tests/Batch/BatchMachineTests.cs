using OrleansInference.Batch;
using OrleansInference.Tests.Jobs;

namespace OrleansInference.Tests.Batch;

public sealed class BatchMachineTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 100_000;
    private const long RetentionMs = 600_000;

    [Fact]
    public void What_could_not_be_deleted_is_tried_again_after_a_pause()
    {
        var batch = new BatchMachine(Ended(), new(), RetentionMs);
        var keptUntil = batch.KeptUntil;
        Assert.Equal(new(BatchAction.Purge, keptUntil), batch.Next());
        batch.Failed(0.5, keptUntil);
        Assert.Equal(BatchAction.Purge, batch.Next().Action);
        Assert.InRange(batch.Next().At, keptUntil + 1, keptUntil + 60_000);
        var once = batch.Next().At;
        batch.Failed(0.5, once);
        Assert.True(batch.Next().At - once > once - keptUntil);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Output_that_cannot_be_read_is_tried_for_until_the_deadline_and_given_up_there_with_the_reason(bool cancelled)
    {
        var batch = Running(objects: 2);
        var unwanted = cancelled ? Start + 30_000 : Deadline;
        if (cancelled)
        {
            batch.Cancel(unwanted);
        }

        var now = Start + 20_000;
        var tries = 0;
        while (batch.Record.Ending is null)
        {
            Assert.Equal(BatchAction.Look, batch.Next().Action);
            now = Math.Max(now, batch.Next().At);
            Assert.True(tries++ < 100, "it is tried for ever");
            if (batch.IsLastLook(now))
            {
                batch.RoundEnded([new(Money.FromNanos(7), null), new(null, "no access", IsUnreadable: true)], Money.FromNanos(11), now);
            }
            else
            {
                Assert.False(batch.Failed(1, now));
            }
        }

        // A try is due at the deadline itself.
        Assert.InRange(now, unwanted, unwanted + 20_000);
        Assert.True(cancelled || now == unwanted);
        var (record, ending) = (batch.Record, batch.Record.Ending!);
        Assert.Equal((cancelled ? JobState.Cancelled : JobState.Expired, Money.FromNanos(7), 11), (ending.State, ending.Charge, record.Cost));
        Assert.EndsWith("no access", ending.Problem!.Message, StringComparison.Ordinal);
        Assert.Equal([null, "no access"], record.Pieces.Select(static piece => piece.Failure));
    }

    [Fact]
    public void Of_a_transform_job_that_cannot_be_asked_about_a_batch_is_rid_before_its_reservation_runs_out()
    {
        var batch = Running(objects: 1);
        var now = Start + 20_000;
        while (!batch.Failed(1, now))
        {
            now = Math.Max(now + 1, batch.Next().At);
            Assert.True(now < Deadline + 3_600_000);
        }

        Assert.True(now >= Deadline + 60_000);
        Assert.Equal((JobState.Expired, Money.Zero), (batch.Record.Ending!.State, batch.Record.Ending.Charge));
        Assert.Equal(BatchAction.Settle, batch.Next().Action);
    }

    [Fact]
    public void Taken_up_long_after_its_deadline_a_batch_is_not_ended_by_one_fault()
    {
        var batch = Running(objects: 1);
        var now = Deadline + 86_400_000;
        for (var tries = 1; tries < new WindowLimits().LooksInVain; tries++)
        {
            Assert.False(batch.IsLastLook(now));
            Assert.False(batch.Failed(1, now));
        }

        batch.RoundEnded([new(Money.FromNanos(7), null)], Money.Zero, now);
        Assert.Equal((JobState.Succeeded, Money.FromNanos(7)), (batch.Record.Ending!.State, batch.Record.Ending.Charge));
    }

    private static BatchMachine Running(int objects)
    {
        var batch = new BatchMachine(
            BatchMachine.Begin("b", Specification() with { Objects = [.. Enumerable.Repeat(new BatchObject { Records = 3, Bytes = 30, InputTokens = 9 }, objects)] }, JobSamples.Endpoint(Lane.Batch), "r") with { ReservedAt = Start },
            new(),
            RetentionMs);
        batch.Starting();
        batch.Started(Start);
        return batch;
    }

    private static BatchRecord Ended() =>
        BatchMachine.Begin("b", Specification(), JobSamples.Endpoint(Lane.Batch), "r") with { ReservedAt = Start, Ending = new() { State = JobState.Succeeded, At = Start + 1_000 }, Settled = true };

    private static BatchSpecification Specification()
    {
        var job = JobSamples.Specification(Lane.Batch, Start, Deadline);
        return new()
        {
            Request = job.Request,
            Route = job.Route,
            Upload = "u",
            AcceptedAt = Start,
            Deadline = job.Deadline,
            InputHash = "aa",
            Objects = [],
            LongestCallMs = 60_000,
            MaxOutputTokens = 10,
        };
    }
}
