namespace OrleansInference.Audit;

/// <summary>What bounds the audit log.</summary>
internal sealed record AuditLimits
{
    /// <summary>How long after its end a record is kept, on the router's clock.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(400);

    /// <summary>Most bytes that the records may fill in the file; beyond it the oldest go before their time.</summary>
    public long MaxBytes { get; init; } = 10_000_000_000;

    /// <summary>Most records that wait to be written; beyond it they are folded into sums.</summary>
    public int MaxQueued { get; init; } = 65_536;
}
