namespace OrleansInference.Jobs;

/// <summary>A wait for a tenant's budget. The ledger tells who waits when it has the money; asking for it is for a word that was lost.</summary>
/// <param name="Until">Unix ms at which the money is expected; the deadline if it never comes.</param>
/// <param name="AskAt">Unix ms at which it is asked for.</param>
public readonly record struct BudgetWait(long Until, long AskAt)
{
    /// <summary>Milliseconds after the expected time, and twice that at most, after which is asked.</summary>
    public const long FallbackMs = 60_000;

    /// <summary>Milliseconds at most between two questions.</summary>
    public const long AskAtMostEveryMs = 900_000;

    /// <summary>A wait that begins; null if the money would come too late.</summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never.</param>
    /// <param name="neededMs">Milliseconds that the answer takes from then on.</param>
    /// <param name="deadline">Unix ms.</param>
    /// <param name="chance">Uniform in 0..1, so that those who wait for the same money do not all ask at once.</param>
    /// <param name="now">Unix ms.</param>
    public static BudgetWait? Begin(long retryAfterMs, long neededMs, long deadline, double chance, long now) =>
        retryAfterMs <= 0 || retryAfterMs >= deadline - now - neededMs ? null : GoOn(retryAfterMs, deadline, chance, now);

    /// <summary>A wait that goes on, until the deadline if need be.</summary>
    /// <param name="retryAfterMs">Milliseconds until the budget may allow it; 0: never, as it stands.</param>
    /// <param name="deadline">Unix ms.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public static BudgetWait GoOn(long retryAfterMs, long deadline, double chance, long now)
    {
        var expected = retryAfterMs > 0 ? Math.Min(now + retryAfterMs, deadline) : deadline;

        // While there is still time to be answered, should the word that it has its money be lost.
        var grace = Math.Min(FallbackMs, (deadline - expected) / 4);
        var ask = expected + grace + Share(grace, chance);
        return new(Math.Max(1, expected), Math.Max(now + 1, Math.Min(ask, now + AskAtMostEveryMs - Share(FallbackMs, chance))));
    }

    /// <summary>When one that was taken up from what was stored asks: soon, so that the ledger knows of it, but not all at once.</summary>
    /// <param name="askAt">Unix ms at which it was to ask.</param>
    /// <param name="chance">Uniform in 0..1.</param>
    /// <param name="now">Unix ms.</param>
    public static long AskSoon(long askAt, double chance, long now) => Math.Min(askAt, now + Share(FallbackMs, chance));

    private static long Share(long milliseconds, double chance) => (long)(milliseconds * Math.Clamp(chance, 0, 1));
}
