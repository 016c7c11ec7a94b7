namespace OrleansInference.Queueing;

/// <summary>The bounds of a <see cref="FairQueue{T}"/>.</summary>
public sealed record FairQueueOptions
{
    /// <summary>The most tickets that wait in one class, at least 1. Each class has this room of its own, so that none can make another be refused.</summary>
    public int MaxPerClass { get; init; } = 10_000;

    /// <summary>
    /// The most tickets of one tenant that wait in one class, at least 1. A tenant may also never have more waiting than the class has room left:
    /// so whoever fills the queue leaves room for who comes later (dynamic thresholds: Choudhury, Hahne, IEEE/ACM Trans. Networking 6(2), 1998).
    /// </summary>
    public int MaxPerTenant { get; init; } = 5_000;
}
