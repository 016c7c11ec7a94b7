namespace OrleansInference.Budgets;

/// <summary>The times and bounds of an <see cref="Escrow"/>.</summary>
public sealed record EscrowOptions
{
    /// <summary>Money: what a holder that vanished has not reported is spent, as far as anybody knows.</summary>
    public static readonly EscrowOptions Money = new();

    /// <summary>Slots: never used up; those of a holder that vanished are free again when its calls can no longer run.</summary>
    public static EscrowOptions Slots(long longestCallMs) => new() { Reusable = true, LongestCallMs = longestCallMs };

    /// <summary>How long after a report the holder may spend, in milliseconds.</summary>
    public long LeaseMs { get; init; } = 10_000;

    /// <summary>
    /// How soon a holder that is alive gives back what the owner calls back, in milliseconds: it hears of it in the answer to
    /// one report and obeys with the next. So long takes a change of the limit to hold everywhere; a holder that is cut off
    /// stops when its lease has run out, after <see cref="LeaseMs"/> at most.
    /// </summary>
    public long ReportMs { get; init; } = 5_000;

    /// <summary>The most by which the clocks of two silos differ, in milliseconds.</summary>
    public long SkewMs { get; init; } = 2_000;

    /// <summary>Whether units come back when the holder vanishes (slots) or count as spent (money).</summary>
    public bool Reusable { get; init; }

    /// <summary>For reusable units: the longest that a reservation made at the last moment may last, in milliseconds.</summary>
    public long LongestCallMs { get; init; }

    /// <summary>How long a lease that ended is remembered, so that its late messages are known, in milliseconds.</summary>
    public long RememberMs { get; init; } = 3_600_000;

    /// <summary>The most leases open at a time; a holder beyond gets nothing.</summary>
    public int MaxLeases { get; init; } = 1024;

    /// <summary>The most leases that ended and are remembered; the oldest are forgotten first.</summary>
    public int MaxRemembered { get; init; } = 1024;
}
