namespace OrleansInference.Jobs;

// Waiting for the tenant's budget, with nothing reserved.
public sealed partial class JobMachine : IBudgeted
{
    /// <inheritdoc/>
    public bool IsHeld => Record.HeldUntil > 0;

    /// <inheritdoc/>
    public HoldRequest Need => new()
    {
        ReservationId = Record.ReservationId,
        Amount = Record.Specification.Route.ChargeCap,
        Deadline = Record.Specification.Deadline,
        ExpiresAt = Record.Specification.Deadline + times.ReservationGraceMs,
        Class = Record.Specification.Route.Class,
    };

    /// <inheritdoc/>
    public void Reserved(long admittedAt) => Record = Record with { ReservedAt = admittedAt };

    /// <inheritdoc/>
    public bool TryHold(long retryAfterMs, double chance, long now)
    {
        var served = (long)(Record.Endpoint.Endpoint.Prior.ServiceP50Seconds * 1000);
        if (!Record.Specification.MayHold || BudgetWait.Begin(retryAfterMs, served, Record.Specification.Deadline, chance, now) is not { } wait)
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
        if (IsHeld && Record.Ending is null)
        {
            Record = Record with { NotBefore = BudgetWait.AskSoon(Record.NotBefore, chance, now) };
        }
    }

    /// <inheritdoc/>
    public void StillHeld(long retryAfterMs, double chance, long now)
    {
        if (IsHeld && Record.Ending is null)
        {
            var wait = BudgetWait.GoOn(retryAfterMs, Record.Specification.Deadline, chance, now);
            Record = Record with { HeldUntil = wait.Until, NotBefore = wait.AskAt };
        }
    }

    /// <inheritdoc/>
    public void Funded(long admittedAt, long now)
    {
        if (IsHeld && Record.Ending is null)
        {
            Record = Record with { HeldUntil = 0, FundedAt = now, ReservedAt = admittedAt, Failures = 0, NotBefore = 0 };
        }
    }
}
