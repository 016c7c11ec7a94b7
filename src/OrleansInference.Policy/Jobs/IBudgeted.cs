namespace OrleansInference.Jobs;

/// <summary>A job or a batch as its tenant's ledger knows it: what it needs, and whether it has it or waits for it.</summary>
public interface IBudgeted
{
    /// <summary>What it needs.</summary>
    HoldRequest Need { get; }

    /// <summary>Whether it waits for the tenant's budget, with nothing reserved.</summary>
    bool IsHeld { get; }

    /// <summary>The ledger has reserved what it needs as it came.</summary>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    void Reserved(long admittedAt);

    /// <summary>
    /// The budget refused what is to be accepted: holds it if that was asked for and the money is expected to be free while the model can still answer
    /// in time.
    /// </summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never.</param>
    /// <param name="chance">Uniform in 0..1, so that those who wait for the same money do not all ask at once.</param>
    /// <param name="now">Unix ms.</param>
    bool TryHold(long retryAfterMs, double chance, long now);

    /// <summary>The budget still does not allow what is held: it goes on waiting.</summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never, as it stands.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    void StillHeld(long retryAfterMs, double chance, long now);

    /// <summary>The ledger has reserved what was held for: it goes on as any other.</summary>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    /// <param name="now">Unix ms.</param>
    void Funded(long admittedAt, long now);
}
