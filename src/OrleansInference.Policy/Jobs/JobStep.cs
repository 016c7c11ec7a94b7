namespace OrleansInference.Jobs;

/// <summary>What a job needs next.</summary>
public enum JobAction
{
    /// <summary>Hand it to its lane.</summary>
    Dispatch = 0,

    /// <summary>Look whether it has ended.</summary>
    Check = 1,

    /// <summary>End it, for its deadline has passed.</summary>
    Expire = 2,

    /// <summary>Send its charge to the ledger and its record to the audit log.</summary>
    Settle = 3,

    /// <summary>Delete what is stored of it.</summary>
    Purge = 4,

    /// <summary>Ask the ledger how it stands with the money it waits for.</summary>
    Reserve = 5,

    /// <summary>Tell the end to the queue or the webhook that the request named.</summary>
    Reply = 6,

    /// <summary>Its deadline nears: move it to a faster lane if its batch window comes too late and the budget covers that.</summary>
    Hasten = 7,

    /// <summary>Its deadline nears and its turn has not come: it calls its real-time endpoint as any other request.</summary>
    Serve = 8,
}

/// <summary>An action and when it is due.</summary>
/// <param name="Action">What to do.</param>
/// <param name="At">Unix ms.</param>
public readonly record struct JobStep(JobAction Action, long At);

/// <summary>Times of a job's life, on the router's clock.</summary>
public sealed record JobTimes
{
    /// <summary>Milliseconds an ended job is kept.</summary>
    public long RetentionMs { get; init; } = 86_400_000;

    /// <summary>Whether completions are also notified, so that looking for results is only the fallback.</summary>
    public bool Notified { get; init; }

    /// <summary>
    /// Milliseconds after its acceptance at which a job is taken up again that crashed, and after its dispatch at which one is looked for whose end is notified: not before
    /// the slowest calls would have ended. At a quarter of the time until its deadline if that is less; by its <see cref="JobMachine.Spread"/> sooner.
    /// </summary>
    public long LostWordMs { get; init; } = 900_000;

    /// <summary>Milliseconds between two looks at the result at least.</summary>
    public long CheckEveryMs { get; init; } = 1_000;

    /// <summary>Milliseconds between two looks at most.</summary>
    public long CheckAtMostEveryMs { get; init; } = 300_000;

    /// <summary>Milliseconds between two looks at a batch window at least, six times that at most; by its job's <see cref="JobMachine.Spread"/> sooner.</summary>
    public long WindowCheckEveryMs { get; init; } = 600_000;

    /// <summary>Milliseconds until its next step from which on a job need not be in memory.</summary>
    public long RestFromMs { get; init; } = 120_000;

    /// <summary>Milliseconds at most after which a reminder comes again that did not have its effect. Within the time for which reminders are loaded: one that is missed is not one that is forgotten.</summary>
    public long RecoverAtMostEveryMs { get; init; } = 120_000;

    /// <summary>The least of them that the reminders allow.</summary>
    public long RecoverAtLeastEveryMs { get; init; } = 60_000;

    /// <summary>Milliseconds after the deadline until which the ledger keeps the reservation for the settlement.</summary>
    public long ReservationGraceMs { get; init; } = 3_600_000;

    /// <summary>Milliseconds after its end for which a job's webhook is tried, as long as the job is kept.</summary>
    public long WebhookRetryForMs { get; init; } = 43_200_000;

    /// <summary>Milliseconds between two tries of a webhook at most.</summary>
    public long WebhookRetryAtMostEveryMs { get; init; } = 3_600_000;
}

/// <summary>Delays between tries: doubling, capped, the upper half at random so that tries of many do not meet.</summary>
public static class Backoff
{
    /// <summary>Milliseconds after the <paramref name="failures"/>-th failure in a row.</summary>
    /// <param name="failures">Failures so far, at least 1.</param>
    /// <param name="chance">Uniform in 0..1, drawn by the caller.</param>
    /// <param name="firstMs">Longest delay after the first failure.</param>
    /// <param name="mostMs">Longest delay at all.</param>
    public static long DelayMs(int failures, double chance, long firstMs = 500, long mostMs = 30_000)
    {
        var whole = Math.Min(mostMs, firstMs * Math.Pow(2, Math.Clamp(failures - 1, 0, 30)));
        return Math.Max(1, (long)(whole * (0.5 + (0.5 * Math.Clamp(chance, 0, 1)))));
    }
}
