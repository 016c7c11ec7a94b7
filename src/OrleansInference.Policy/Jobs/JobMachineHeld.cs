namespace OrleansInference.Jobs;

// Waiting for the tenant's budget, with nothing reserved.
public sealed partial class JobMachine
{
    /// <summary>
    /// The budget refused a job that is to be accepted: holds it if that was asked for and the money is expected to be free while the
    /// model can still answer in time.
    /// </summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never.</param>
    /// <param name="chance">Uniform in 0..1, so that jobs that wait for the same money do not all ask at once.</param>
    /// <param name="now">Unix ms.</param>
    public bool TryHold(long retryAfterMs, double chance, long now)
    {
        var served = (long)(Record.Endpoint.Endpoint.Prior.ServiceP50Seconds * 1000);
        if (!Record.Specification.MayHold || retryAfterMs <= 0 || retryAfterMs >= Record.Specification.Deadline - now - served)
        {
            return false;
        }

        Hold(retryAfterMs, chance, now);
        return true;
    }

    /// <summary>It was taken up from what was stored: one that is held asks soon, so that the ledger knows of it, but not all at once.</summary>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void TakenUp(double chance, long now)
    {
        if (IsHeld && Record.Ending is null)
        {
            Record = Record with { NotBefore = Math.Min(Record.NotBefore, now + (long)(times.HoldFallbackMs * Math.Clamp(chance, 0, 1))) };
        }
    }

    /// <summary>The budget still does not allow a held job: it goes on waiting.</summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never, as it stands.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public void StillHeld(long retryAfterMs, double chance, long now)
    {
        if (IsHeld && Record.Ending is null)
        {
            Hold(retryAfterMs, chance, now);
        }
    }

    /// <summary>The ledger has reserved the charge cap of a held job: it goes on as any other.</summary>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    /// <param name="now">Unix ms.</param>
    public void Funded(long admittedAt, long now)
    {
        if (IsHeld && Record.Ending is null)
        {
            Record = Record with { HeldUntil = 0, FundedAt = now, ReservedAt = admittedAt, Failures = 0, NotBefore = 0 };
        }
    }

    private void Hold(long retryAfterMs, double chance, long now)
    {
        var deadline = Record.Specification.Deadline;
        var expected = retryAfterMs > 0 ? Math.Min(now + retryAfterMs, deadline) : deadline;

        // While there is still time to be answered, should the word that it has its money be lost.
        var grace = Math.Min(times.HoldFallbackMs, (deadline - expected) / 4);
        var ask = expected + grace + (long)(grace * Math.Clamp(chance, 0, 1));
        Record = Record with
        {
            HeldUntil = Math.Max(1, expected),
            NotBefore = Math.Max(now + 1, Math.Min(ask, now + times.HoldCheckAtMostEveryMs - (long)(times.HoldFallbackMs * Math.Clamp(chance, 0, 1)))),
        };
    }
}
