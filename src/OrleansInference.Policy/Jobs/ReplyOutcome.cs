namespace OrleansInference.Jobs;

/// <summary>What became of one try to tell a job's end.</summary>
public enum ReplyFate
{
    /// <summary>It was taken.</summary>
    Sent = 0,

    /// <summary>It was not, and may be later.</summary>
    Failed = 1,

    /// <summary>Its receiver wants it never.</summary>
    Refused = 2,

    /// <summary>It was not tried, for so many were under way; that is no failure of the receiver's.</summary>
    Busy = 3,
}

/// <summary>What became of one try to tell a job's end.</summary>
/// <param name="Fate">Whether it was taken.</param>
/// <param name="Problem">Why it was not, as the tenant may read it.</param>
/// <param name="RetryAfterMs">Milliseconds before which the receiver wants no other try; 0: it did not say.</param>
public sealed record ReplyOutcome(ReplyFate Fate, string? Problem = null, long RetryAfterMs = 0)
{
    /// <summary>It was taken.</summary>
    public static ReplyOutcome Sent { get; } = new(ReplyFate.Sent);
}
