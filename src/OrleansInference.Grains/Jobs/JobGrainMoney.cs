namespace OrleansInference.Jobs;

// What it reserves: when its money has come, and for a faster lane.
internal sealed partial class JobGrain
{
    private async Task ReserveAsync(JobMachine machine)
    {
        var isFunded = await funding.AskAsync(Tenant, machine);
        await SaveAsync();
        if (isFunded)
        {
            world.TellFunded(machine);
        }
    }

    private async Task TakeFundsAsync(JobMachine machine, long admittedAt)
    {
        machine.Funded(admittedAt, Clock.Now);
        await SaveAsync();
        world.TellFunded(machine);
    }

    /// <summary>
    /// Which lane, then the reservation for it, then the move, then the release of what was reserved before: interrupted, the ledger answers alike
    /// when it is asked again, and the end releases whatever the job does not use.
    /// </summary>
    private async Task HastenAsync(JobMachine machine)
    {
        if (machine.Record.Faster is null)
        {
            if (await world.FindFasterAsync(machine.Record) is not { } found)
            {
                machine.Stays(Clock.Now);
                return;
            }

            machine.Hastening(found);
            await SaveAsync();
        }

        var before = machine.Record;
        var faster = before.Faster!;
        var reply = await Tenant.Reserve(faster.ReservationId, faster.Route.ChargeCap, before.Specification.Deadline + _times.ReservationGraceMs);
        if (!reply.Granted)
        {
            machine.Stays(Clock.Now);
            await SaveAsync();
            return;
        }

        machine.Moved(reply.AdmittedAt);
        await SaveAsync();
        await AbandonAsync(before);
        await ReleaseAsync(machine.Record.Before);
    }

    private async Task ReleaseAsync(JobLane? lane)
    {
        if (lane is not null && await Tenant.Settle(lane.ReservationId, Money.Zero) is { } ended)
        {
            await world.AuditLaneAsync(_address, _machine!.Record, lane, ended);
        }
    }
}
