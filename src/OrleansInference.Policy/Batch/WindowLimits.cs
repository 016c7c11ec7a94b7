namespace OrleansInference.Batch;

/// <summary>Bounds of a window's input and of its retries.</summary>
public sealed record WindowLimits
{
    /// <summary>Most members of any window: so many fit, with their outcomes, one item of 400 KB where state is in DynamoDB.</summary>
    public const int MostMembers = 3_000;

    /// <summary>Most members of a window of an endpoint.</summary>
    public static int MostMembersOf(EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        return Math.Min(endpoint.WindowMaxRequests, MostMembers);
    }

    /// <summary>Most bytes of members' inputs in one window.</summary>
    public long MaxBytes { get; init; } = 104_857_600;

    /// <summary>Most bytes of one input object, unless a single member is larger.</summary>
    public long MaxObjectBytes { get; init; } = 4_194_304;

    /// <summary>Most members in one input object. A member that fails costs the others of its object one more round.</summary>
    public int MaxObjectMembers { get; init; } = 64;

    /// <summary>Into how many parts a failed object is split.</summary>
    public int SplitInto { get; init; } = 8;

    /// <summary>Most transform jobs of one window: enough to split an object down to its records, and some that AWS or an operator ends.</summary>
    public int MaxRounds { get; init; } = 6;

    /// <summary>Tries in a row to read an ended transform job's output, once nobody waits for it, before what cannot be read is given up.</summary>
    public int LooksInVain { get; init; } = 5;

    /// <summary>
    /// Milliseconds for which it is tried to learn what became of a transform job that nobody waits for: well within the time for which ledgers keep reservations
    /// after their deadlines.
    /// </summary>
    public long OverdueMs { get; init; } = 1_800_000;

    /// <summary>Milliseconds between two looks at the transform job at least.</summary>
    public long LookEveryMs { get; init; } = 5_000;

    /// <summary>Milliseconds between two looks at most.</summary>
    public long LookAtMostEveryMs { get; init; } = 60_000;
}
