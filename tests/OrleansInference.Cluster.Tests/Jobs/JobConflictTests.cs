using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Jobs;

namespace OrleansInference.Tests.Jobs;

/// <summary>A job whose state is written by another activation, or whose write is not confirmed, ends once and is charged once all the same.</summary>
public sealed class JobConflictTests
{
    private const string Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}""";

    [Theory]
    [InlineData("accepted", "chat-async")]
    [InlineData("dispatched", "chat-async")]
    [InlineData("ended", "chat-async")]
    [InlineData("settled", "chat-async")]
    [InlineData("dispatched", "chat-batch")]
    [InlineData("ended", "chat-batch")]
    public async Task A_job_ends_once_with_one_charge_whichever_write_goes_wrong(string stage, string endpoint)
    {
        await using var world = await JobsWorld.StartAsync();
        var conflicts = 0;
        foreach (var fate in (WriteFate[])[WriteFate.Refused, WriteFate.Stored])
        {
            world.Conflicts.OnNextWrite<StoredJob>("job", stored => stored.Record is { } record && StageOf(record) == stage, fate);
            var view = await world.EndOfAsync(await world.AcceptAsync(Body, endpoint));
            Assert.Equal(JobState.Succeeded, view.State);
            Assert.True(view.Route.Charge > Money.Zero);
            Assert.Equal(++conflicts, world.Conflicts.Conflicts);
            await world.RequireLedgerAndAuditAgreeAsync(jobs: conflicts);

            // The log tells an end twice if its settlement was not confirmed, and always the same one.
            Assert.Equal(conflicts, world.Audit.Records.Distinct().Count());
            Assert.Equal(conflicts, world.Audit.Records.Select(static record => record.Reservation).Distinct().Count());
        }
    }

    [Fact]
    public async Task A_job_whose_deletion_goes_wrong_keeps_the_reminder_that_tries_it_again()
    {
        await using var world = await JobsWorld.StartAsync(retention: TimeSpan.FromSeconds(120));
        world.Conflicts.OnNextClear("job");
        var id = await world.AcceptAsync(Body, "chat-async");
        var grain = world.Services.GetRequiredService<IGrainFactory>().GetGrain<IJobGrain>(new JobAddress(JobsWorld.Acme, id).Key);
        var table = world.Services.GetRequiredService<IReminderTable>();
        var reminder = Assert.Single((await table.ReadRows(grain.GetGrainId())).Reminders);
        await JobsWorld.UntilAsync(() => Task.FromResult(world.Conflicts.Conflicts == 1), "the deletion went wrong");

        // Unless it has come again already, and the job is gone.
        Assert.True((await table.ReadRows(grain.GetGrainId())).Reminders.Count == 1 || await grain.Get() is null, "nothing tries the deletion again");
        await JobsWorld.UntilAsync(
            async () =>
            {
                // What the reminder does when it comes.
                await grain.AsReference<IRemindable>().ReceiveReminder(reminder.ReminderName, default);
                return await grain.Get() is null && (await table.ReadRows(grain.GetGrainId())).Reminders.Count == 0;
            },
            "the job is gone and nothing tries again");
    }

    [Fact]
    public async Task A_job_that_never_became_durable_leaves_neither_a_reservation_nor_its_input()
    {
        await using var world = await JobsWorld.StartAsync();
        world.Conflicts.OnNextWrite<StoredJob>("job", static stored => stored.Record is not null, WriteFate.RefusedThenDown);
        var cap = Money.FromDollars(0.02m);
        var outcome = await world.SubmitAsync(Body, "chat-async", key: "lost", cap: cap);
        Assert.Equal(ProblemCode.Unavailable, outcome.Problem?.Code);
        Assert.Equal(cap, (await world.BudgetAsync()).Reserved);
        Assert.Empty(world.Audit.Records);
        Assert.Single(await world.ObjectsAsync("jobs/"));

        world.Conflicts.Recover("job");
        var address = new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, "lost"));
        var grain = world.Services.GetRequiredService<IGrainFactory>().GetGrain<IJobGrain>(address.Key);
        var table = world.Services.GetRequiredService<IReminderTable>();
        foreach (var reminder in (await table.ReadRows(grain.GetGrainId())).Reminders)
        {
            // What the reminder does when it comes; told twice, it is recorded as the same end.
            await grain.AsReference<IRemindable>().ReceiveReminder(reminder.ReminderName, default);
            await grain.AsReference<IRemindable>().ReceiveReminder(reminder.ReminderName, default);
        }

        Assert.Empty((await table.ReadRows(grain.GetGrainId())).Reminders);
        Assert.Empty(await world.ObjectsAsync("jobs/"));
        var budget = await world.BudgetAsync();
        Assert.Equal((Money.Zero, Money.Zero, Money.Zero), (budget.Reserved, budget.SettledTotal, budget.UnreportedTotal));
        var record = Assert.Single(world.Audit.Records.DistinctBy(static record => record.Reservation));
        Assert.Equal((AuditKind.Release, cap, Money.Zero, address.Key), (record.Kind, record.Cap, record.Charge, record.Request));
        Assert.Equal((outcome.Route!.DecisionId, JobsWorld.Chat, TrafficClass.Medium, Lane.Async, new EndpointName("chat-async")), (record.Decision, record.Model, record.Class, record.Lane, record.Endpoint));
        Assert.InRange(record.ReservedAt, 1, record.EndedAt);

        // Whoever repeats the request gets its job.
        Assert.Equal(JobState.Succeeded, (await world.EndOfAsync(await world.AcceptAsync(Body, "chat-async", key: "lost"))).State);
    }

    [Fact]
    public async Task A_large_input_whose_job_was_never_accepted_is_deleted_by_its_reminder()
    {
        await using var world = await JobsWorld.StartAsync();
        world.CallFault = static method => method == nameof(IJobGrain.Accept) ? new TimeoutException("The silo is gone.") : null;
        var large = $$"""{"inputs":"{{new string('x', 2 << 20)}}","input_tokens":30,"output_tokens":5}""";
        Assert.Equal(ProblemCode.Unavailable, (await world.SubmitAsync(large, "chat-async", key: "lost")).Problem?.Code);
        Assert.Single(await world.ObjectsAsync("jobs/"));

        world.CallFault = null;
        var grain = world.Services.GetRequiredService<IGrainFactory>().GetGrain<IJobGrain>(new JobAddress(JobsWorld.Acme, JobAddress.IdOf(JobsWorld.Acme, "lost")).Key);
        var table = world.Services.GetRequiredService<IReminderTable>();
        await grain.AsReference<IRemindable>().ReceiveReminder(Assert.Single((await table.ReadRows(grain.GetGrainId())).Reminders).ReminderName, default);
        Assert.Empty(await world.ObjectsAsync("jobs/"));
        Assert.Empty((await table.ReadRows(grain.GetGrainId())).Reminders);
    }

    private static string StageOf(JobRecord record) => record switch
    {
        { Settled: true } => "settled",
        { Ending: not null } => "ended",
        { State: JobState.Accepted } => "accepted",
        _ => "dispatched",
    };
}
