namespace OrleansInference.Jobs;

// What it reserves: at acceptance, when its money has come, and for a faster lane.
internal sealed partial class JobGrain
{
    /// <summary>Has the ledger let the job wait if the money can come in time; the refusal if it does not wait.</summary>
    private async Task<InferenceOutcome?> HoldAsync(JobMachine machine, ReservationReply reply)
    {
        var retryAfterMs = reply.RetryAfterMs;
        var tooMany = "";
        if (machine.TryHold(retryAfterMs, Random.Shared.NextDouble(), Clock.Now))
        {
            var held = await Tenant.Hold(HoldRequestOf(machine));
            if (held.AdmittedAt > 0)
            {
                machine.Funded(held.AdmittedAt, Clock.Now);
                return null;
            }

            // Behind those that are before it the money may come too late.
            if (held.IsHeld && machine.TryHold(held.ExpectedMs, Random.Shared.NextDouble(), Clock.Now))
            {
                return null;
            }

            if (held.IsHeld)
            {
                await Tenant.Settle(machine.Record.ReservationId, Money.Zero);
                (retryAfterMs, tooMany) = (held.ExpectedMs, "; held jobs are before it, and its money would come too late");
            }
            else
            {
                tooMany = $"; {options.Value.MaxHeldJobs} jobs are held for it already";
            }
        }

        return InferenceOutcome.Refused(
            ProblemCode.BudgetExhausted,
            $"Tenant '{_address.Tenant}': {reply.Reason}{tooMany}.",
            retryAfterMs > 0 ? TimeSpan.FromMilliseconds(retryAfterMs) : null,
            machine.Record.Specification.Route);
    }

    /// <summary>Asks how a held job stands in the ledger, which puts it back in line if it has been forgotten there.</summary>
    private async Task ReserveAsync(JobMachine machine)
    {
        var reply = await Tenant.Hold(HoldRequestOf(machine));
        if (reply.AdmittedAt > 0)
        {
            await TakeFundsAsync(machine, reply.AdmittedAt);
            return;
        }

        machine.StillHeld(reply.ExpectedMs, Random.Shared.NextDouble(), Clock.Now);
        await SaveAsync();
    }

    private async Task TakeFundsAsync(JobMachine machine, long admittedAt)
    {
        machine.Funded(admittedAt, Clock.Now);
        await SaveAsync();
        world.TellFunded(machine);
    }

    private HoldRequest HoldRequestOf(JobMachine machine)
    {
        var specification = machine.Record.Specification;
        return new()
        {
            ReservationId = machine.Record.ReservationId,
            Amount = specification.Route.ChargeCap,
            Deadline = specification.Deadline,
            ExpiresAt = specification.Deadline + _times.ReservationGraceMs,
            Class = specification.Route.Class,
        };
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
