using OrleansInference.Batch;
using OrleansInference.Tests.Jobs;

namespace OrleansInference.Tests.Batch;

public sealed class BatchMachineTests
{
    private const long Start = 1_000_000;
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

    private static BatchRecord Ended()
    {
        var job = JobSamples.Specification(Lane.Batch, Start, Start + 100_000);
        var specification = new BatchSpecification
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
        return BatchMachine.Begin("b", specification, JobSamples.Endpoint(Lane.Batch), "r") with { ReservedAt = Start, Ending = new() { State = JobState.Succeeded, At = Start + 1_000 }, Settled = true };
    }
}
