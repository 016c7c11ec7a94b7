using OrleansInference.Jobs;

namespace OrleansInference.Batch;

// Waiting for the tenant's budget, with nothing reserved.
public sealed partial class BatchMachine : IBudgeted
{
    private const string Reservations = "batches/";

    /// <inheritdoc/>
    public bool IsHeld => Record.HeldUntil > 0;

    /// <inheritdoc/>
    public HoldRequest Need => new()
    {
        ReservationId = Record.ReservationId,
        Amount = Record.Specification.Route.ChargeCap,
        Deadline = Record.Specification.Deadline,
        ExpiresAt = Record.Specification.Deadline + ReservationGraceMs,
        Class = Record.Specification.Route.Class,
    };

    private bool IsWaiting => IsHeld && Record.Ending is null;

    /// <summary>Id of the reservation of a batch made of an upload.</summary>
    public static string ReservationId(JobAddress batch, string upload) => $"{Reservations}{batch.Key}/{upload}";

    /// <summary>The batch whose reservation has this id; false if it is no batch's, but a job's of a tenant by the name of batches, or anything else's.</summary>
    public static bool TryFindBatch(string reservationId, out JobAddress batch)
    {
        ArgumentNullException.ThrowIfNull(reservationId);
        batch = default;
        var end = reservationId.LastIndexOf('/');
        return end > Reservations.Length
            && reservationId.StartsWith(Reservations, StringComparison.Ordinal)
            && JobAddress.TryParse(reservationId[Reservations.Length..end], out batch);
    }

    /// <inheritdoc/>
    public void Reserved(long admittedAt) => Record = Record with { ReservedAt = Math.Max(1, admittedAt) };

    /// <inheritdoc/>
    public bool TryHold(long retryAfterMs, double chance, long now)
    {
        var specification = Record.Specification;
        if (!specification.MayHold || BudgetWait.Begin(retryAfterMs, specification.ExpectedMs, specification.Deadline, chance, now) is not { } wait)
        {
            return false;
        }

        Record = Record with { HeldUntil = wait.Until, NotBefore = wait.AskAt };
        return true;
    }

    /// <summary>It was taken up from what was stored: one that is held asks soon.</summary>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void TakenUp(double chance, long now)
    {
        if (IsWaiting)
        {
            Record = Record with { NotBefore = BudgetWait.AskSoon(Record.NotBefore, chance, now) };
        }
    }

    /// <inheritdoc/>
    public void StillHeld(long retryAfterMs, double chance, long now)
    {
        if (IsWaiting)
        {
            var wait = BudgetWait.GoOn(retryAfterMs, Record.Specification.Deadline, chance, now);
            Record = Record with { HeldUntil = wait.Until, NotBefore = wait.AskAt, Failures = 0 };
        }
    }

    /// <inheritdoc/>
    public void Funded(long admittedAt, long now)
    {
        if (IsWaiting)
        {
            Record = Record with { HeldUntil = 0, FundedAt = now, ReservedAt = Math.Max(1, admittedAt), Failures = 0, NotBefore = 0 };
        }
    }
}
