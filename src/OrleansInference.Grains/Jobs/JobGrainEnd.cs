using OrleansInference.Telemetry;

namespace OrleansInference.Jobs;

// Its end: settled, told, kept for a time, forgotten.
internal sealed partial class JobGrain
{
    /// <summary>
    /// Ledger, then audit log, then state: a crash in between repeats the steps before it with the same stored end. The ledger
    /// and the audit log take a reservation's end once.
    /// </summary>
    private async Task SettleAsync(JobMachine machine)
    {
        var record = machine.Record;
        try
        {
            await ReleaseAsync(record.Faster);
            await ReleaseAsync(record.Before);
            await Tenant.Settle(record.ReservationId, record.Ending!.Charge);
            await world.AuditAsync(_address, record);
        }
        catch (Exception exception)
        {
            LogFault(exception, _address.Key, record.State);
            machine.SettlementFailed(Random.Shared.NextDouble(), Clock.Now);
            return;
        }

        machine.SettlementTaken();
        await SaveAsync();
        world.Tell(machine);
        if (!machine.OwesReply)
        {
            await RemindToPurgeAsync(machine);
        }
    }

    /// <summary>Tells the end, then stores what became of that: a crash in between tells it again. As long as it is owed the reminder stays a short one.</summary>
    private async Task ReplyAsync(JobMachine machine)
    {
        ReplyOutcome outcome;
        try
        {
            outcome = await world.ReplyAsync(machine);
        }
        catch (Exception exception)
        {
            LogFault(exception, _address.Key, machine.Record.State);
            outcome = new(ReplyFate.Failed, "The reply queue, or the store of the result, could not be reached.");
        }

        machine.ReplyTried(outcome, Random.Shared.NextDouble(), Clock.Now);
        await SaveAsync();
        if (!machine.OwesReply)
        {
            if (machine.Record.ReplyGivenUp)
            {
                RouterTelemetry.ReplyGivenUp();
            }

            await RemindToPurgeAsync(machine);
        }
    }

    private Task RemindToPurgeAsync(JobMachine machine)
    {
        _isReminded = false;
        return RemindAsync(ReminderOf(machine.Record), TimeSpan.FromMilliseconds(Math.Max(1, machine.KeptUntil - Clock.Now)), PurgeEvery);
    }

    private async Task PurgeAsync(JobRecord record)
    {
        await world.DeleteAllAsync(_address, record);
        await ForgetAsync(ReminderOf(record));
        (_machine, _view) = (null, null);
    }
}
