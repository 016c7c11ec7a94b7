namespace OrleansInference.Queueing;

/// <summary>What became of a ticket on arrival.</summary>
public enum EnqueueVerdict
{
    /// <summary>It waits.</summary>
    Queued = 0,

    /// <summary>It could not make its deadline behind those whose turn comes first.</summary>
    TooLate = 1,

    /// <summary>As many wait in its class as may.</summary>
    QueueFull = 2,

    /// <summary>As many of its tenant wait in its class as may.</summary>
    TenantFull = 3,

    /// <summary>A ticket of this id waits already; nothing changed.</summary>
    AlreadyWaiting = 4,
}

/// <summary>The answer to an arrival.</summary>
/// <param name="Verdict">What became of it.</param>
/// <param name="WaitMs">How long it is expected to wait, in milliseconds; 0 also if there are no slots, none is on its way and nobody knows.</param>
/// <param name="RetryAfterMs">If it was refused: in how many milliseconds another attempt may fare better; 0 if waiting does not help.</param>
public readonly record struct EnqueueResult(EnqueueVerdict Verdict, long WaitMs = 0, long RetryAfterMs = 0);
