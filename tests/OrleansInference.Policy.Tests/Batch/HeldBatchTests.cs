using OrleansInference.Batch;
using OrleansInference.Jobs;
using OrleansInference.Tests.Jobs;

namespace OrleansInference.Tests.Batch;

public sealed class HeldBatchTests
{
    private const long Start = 1_000_000;
    private const long Deadline = Start + 300_000;
    private const long NeededMs = 100_000;
    private const long RetentionMs = 600_000;

    [Fact]
    public void A_held_batch_is_told_when_it_has_its_money_and_then_goes_on_as_any_other()
    {
        var batch = New();
        Assert.False(batch.IsAccepted);
        Assert.True(batch.TryHold(20_000, chance: 0, Start));
        Assert.True(batch.IsAccepted);
        Assert.Equal((JobState.Accepted, DateTimeOffset.FromUnixTimeMilliseconds(Start + 20_000)), (batch.ToView()!.State, batch.ToView()!.HeldUntil));

        // The ledger tells it; it asks by itself some time after.
        Assert.Equal(new(BatchAction.Reserve, Start + 20_000 + 60_000), batch.Next());
        batch.Funded(Start + 19_000, Start + 20_000);
        Assert.Null(batch.ToView()!.HeldUntil);
        Assert.Equal((Start + 19_000, Start + 20_000), (batch.Record.ReservedAt, batch.ReadyAt));
        Assert.Equal(new(BatchAction.Start, 0), batch.Next());
    }

    [Theory]
    [InlineData(true, 199_999, true)]
    [InlineData(true, 200_000, false)]
    [InlineData(true, 0, false)]
    [InlineData(false, 20_000, false)]
    public void A_batch_is_held_only_if_asked_for_and_if_the_money_comes_while_it_can_still_be_done(bool mayHold, long retryAfterMs, bool held)
    {
        var batch = New(mayHold);
        Assert.Equal(held, batch.TryHold(retryAfterMs, 0.5, Start));
        Assert.Equal((held, held), (batch.IsHeld, batch.IsAccepted));
        Assert.Equal(held ? BatchAction.Reserve : BatchAction.Discard, batch.Next().Action);
    }

    [Fact]
    public void Money_that_never_frees_lets_it_expire_at_its_deadline_for_nothing()
    {
        var batch = New();
        Assert.True(batch.TryHold(1_000, 0.5, Start));
        var now = Start;
        var questions = 0;
        while (batch.Next() is { Action: BatchAction.Reserve } step)
        {
            Assert.InRange(step.At, now + 1, now + BudgetWait.AskAtMostEveryMs);
            now = step.At;
            batch.StillHeld(questions++ % 2 == 0 ? 0 : 1_000_000, 0.5, now);
        }

        Assert.InRange(questions, 1, 10);
        Assert.Equal(new(BatchAction.End, Deadline), batch.Next());
        batch.End(Deadline);
        Assert.Equal(BatchAction.Settle, batch.Next().Action);
        batch.SettlementTaken();
        var view = batch.ToView()!;
        Assert.Equal((JobState.Expired, Money.Zero, 3, null), (view.State, view.Route.Charge, view.Failed, view.HeldUntil));
        Assert.Contains("held for the tenant's budget", view.Problem!.Message, StringComparison.Ordinal);
        Assert.Equal(BatchAction.Purge, batch.Next().Action);
    }

    [Fact]
    public void Cancelled_while_it_is_held_a_batch_ends_at_once_and_money_that_comes_afterwards_changes_nothing()
    {
        var batch = New();
        Assert.True(batch.TryHold(20_000, 0.5, Start));
        batch.Cancel(Start + 1_000);
        Assert.Equal(new(BatchAction.End, Start + 1_000), batch.Next());
        batch.End(Start + 1_000);
        batch.Funded(Start + 2_000, Start + 2_000);
        batch.StillHeld(5_000, 0.5, Start + 3_000);
        Assert.Equal((JobState.Cancelled, Money.Zero, 0), (batch.Record.Ending!.State, batch.Record.Ending.Charge, batch.Record.ReservedAt));
        Assert.Equal(BatchAction.Settle, batch.Next().Action);
    }

    [Fact]
    public void A_batch_that_is_taken_up_again_asks_soon_and_what_failed_is_asked_again_after_a_pause()
    {
        var batch = New();
        Assert.True(batch.TryHold(150_000, 0.5, Start));
        batch.TakenUp(0.5, Start + 1_000);
        Assert.Equal(new(BatchAction.Reserve, Start + 31_000), batch.Next());
        Assert.False(batch.Failed(1, Start + 31_000));
        Assert.Equal(BatchAction.Reserve, batch.Next().Action);
        Assert.InRange(batch.Next().At, Start + 31_001, Start + 32_000);
        batch.Funded(Start, Start + 32_000);
        batch.TakenUp(0.5, Start + 33_000);
        Assert.Equal(new(BatchAction.Start, 0), batch.Next());
    }

    [Fact]
    public void A_reservation_tells_whether_it_is_a_batchs_whatever_its_tenants_name()
    {
        var address = new JobAddress(new("batches"), JobAddress.IdOf(new("batches"), "key"));
        Assert.True(BatchMachine.TryFindBatch(BatchMachine.ReservationId(address, "0123456789abcdef"), out var found));
        Assert.Equal(address, found);
        foreach (var other in (string[])[$"{address.Key}/1764450000000", "batches/", "batches//", "", "all that is left", $"acme/{address.JobId}/1", $"batches/acme/{address.JobId}"])
        {
            Assert.False(BatchMachine.TryFindBatch(other, out _), other);
        }
    }

    private static BatchMachine New(bool mayHold = true)
    {
        var job = JobSamples.Specification(Lane.Batch, Start, Deadline);
        return new(
            BatchMachine.Begin(
                "b",
                new()
                {
                    Request = job.Request,
                    Route = job.Route,
                    Upload = "u",
                    AcceptedAt = Start,
                    Deadline = Deadline,
                    InputHash = "aa",
                    Objects = [new() { Records = 3, Bytes = 30, InputTokens = 9 }],
                    LongestCallMs = 1_000,
                    MaxOutputTokens = 10,
                    MayHold = mayHold,
                    ExpectedMs = NeededMs,
                },
                JobSamples.Endpoint(Lane.Batch),
                "r"),
            new(),
            RetentionMs);
    }
}
