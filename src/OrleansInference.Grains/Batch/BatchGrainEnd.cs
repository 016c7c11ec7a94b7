using OrleansInference.Audit;

namespace OrleansInference.Batch;

// Its end: settled and recorded, or taken back before anybody was told of it.
internal sealed partial class BatchGrain
{
    /// <summary>
    /// Ledger, then audit log, then the endpoint's bill, then state: a crash in between repeats the steps before it with the same stored
    /// end, and each of them takes it once.
    /// </summary>
    private async Task SettleAsync(BatchMachine machine)
    {
        var record = machine.Record;
        var ending = record.Ending!;
        await Tenant.Settle(record.ReservationId, ending.Charge);
        await AuditAsync(record, record.ReservedAt > 0 ? record.ReservedAt : ending.At, ending.Charge, ending.At, ending.Problem?.Code);
        if (record.Cost > 0)
        {
            await GrainFactory.GetGrain<IEndpointGrain>(record.Endpoint.Endpoint.Name.Value).Book(
                record.ReservationId,
                Money.FromNanos(record.Cost),
                ending.Charge,
                record.Pieces.Where(static piece => piece.IsDone).Sum(static piece => piece.Count));
        }

        machine.SettlementTaken();
        await SaveAsync();
        world.Tell(_view!);
        await RemindAsync(ReminderName, TimeSpan.FromMilliseconds(Math.Max(1, machine.KeptUntil - Clock.Now)), PurgeEvery);
    }

    /// <summary>Takes back what was begun and never accepted, and records the end of its reservation, if there was one.</summary>
    private async Task DiscardAsync(BatchRecord record)
    {
        if (await Tenant.Settle(record.ReservationId, Money.Zero) is { Charge.Nanos: 0 } released)
        {
            await AuditAsync(record, released.AdmittedAt, Money.Zero, Clock.Now, ProblemCode.Unavailable);
        }

        await files.DeleteAsync(_address, record.Specification.Upload, CancellationToken.None);
        await ForgetReminderAsync(UploadReminder + record.Specification.Upload);
    }

    private async Task AuditAsync(BatchRecord record, long reservedAt, Money charge, long at, ProblemCode? problem)
    {
        if (_audit is null)
        {
            return;
        }

        var specification = record.Specification;
        _audit.Append(new()
        {
            Kind = charge > Money.Zero ? AuditKind.Settle : AuditKind.Release,
            Tenant = _address.Tenant,
            Request = record.ReservationId,
            Decision = specification.Route.DecisionId,
            Model = specification.Request.Model,
            Class = specification.Route.Class,
            Lane = specification.Route.Lane,
            Endpoint = specification.Route.Endpoint,
            Cap = specification.Route.ChargeCap,
            Charge = charge,
            ReservedAt = reservedAt,
            EndedAt = at,
            ArrivedAt = specification.AcceptedAt,
            Deadline = specification.Deadline,
            InputTokens = (int)Math.Min(int.MaxValue, specification.Objects.Sum(static part => part.InputTokens)),
            Problem = problem,
            Reservation = record.ReservationId,
        });
        await _audit.FlushAsync(CancellationToken.None);
    }
}
