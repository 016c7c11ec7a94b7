namespace OrleansInference;

/// <summary>Why a budget does not allow an amount, in figures of one moment.</summary>
[GenerateSerializer, Immutable, Alias("oi.BudgetShortage")]
public sealed record BudgetShortage
{
    /// <summary>What was asked for.</summary>
    [Id(0)] public required Money Amount { get; init; }

    /// <summary>What no window forbids, to anybody; negative after a limit was lowered. The reason tells of the window that frees last, which may leave more.</summary>
    [Id(1)] public required Money Available { get; init; }

    /// <summary>Milliseconds until the amount fits if nobody else spends; 0: it never will.</summary>
    [Id(2)] public required long RetryAfterMs { get; init; }

    /// <summary>Whether that time rests on money coming back that leases, requests under way or jobs hold now.</summary>
    [Id(3)] public bool IsHeld { get; init; }

    /// <summary>What is needed, the window, what of its limit is available and what takes up the rest, and when that changes: a sentence that begins with the amount, whose parts and what is available add up to the limit.</summary>
    [Id(4)] public required string Reason { get; init; }
}
