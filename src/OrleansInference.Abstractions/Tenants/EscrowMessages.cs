namespace OrleansInference;

/// <summary>
/// What the holder of an escrow lease tells its owner. All counters are cumulative over the life of the lease, so a
/// report that is lost, repeated or late changes nothing that a later one does not restate.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.LeaseReport")]
public sealed record LeaseReport
{
    /// <summary>Who holds it: a silo and its incarnation.</summary>
    [Id(0)] public required string Holder { get; init; }

    /// <summary>The lease within the holder, counting up: a new one begins after the last was closed or fenced.</summary>
    [Id(1)] public required long LeaseId { get; init; }

    /// <summary>Units spent for good since the lease began.</summary>
    [Id(2)] public long Settled { get; init; }

    /// <summary>Units given back since the lease began; they can no longer be spent by the holder.</summary>
    [Id(3)] public long Returned { get; init; }

    /// <summary>Units now reserved by requests under way.</summary>
    [Id(4)] public long Pending { get; init; }

    /// <summary>Units the holder would like to have available, from its measured demand.</summary>
    [Id(5)] public long Wanted { get; init; }

    /// <summary>Units the request that waits for this refill needs; 0 if none waits.</summary>
    [Id(6)] public long AtLeast { get; init; }

    /// <summary>True when the holder has finished with the lease: nothing is available or pending any more.</summary>
    [Id(7)] public bool Closing { get; init; }

    /// <summary>Measured demand in units per second.</summary>
    [Id(8)] public double DemandPerSecond { get; init; }
}

/// <summary>The owner's answer to a <see cref="LeaseReport"/>, durable before it is sent.</summary>
[GenerateSerializer, Immutable, Alias("oi.LeaseGrant")]
public sealed record LeaseGrant
{
    /// <summary>The lease this is about.</summary>
    [Id(0)] public required long LeaseId { get; init; }

    /// <summary>Units granted since the lease began.</summary>
    [Id(1)] public long Granted { get; init; }

    /// <summary>Unix milliseconds after which the holder must not spend from it.</summary>
    [Id(2)] public long SpendUntil { get; init; }

    /// <summary>The owner no longer honours this lease: spend nothing, begin a new one.</summary>
    [Id(3)] public bool Fenced { get; init; }

    /// <summary>The most the holder should keep available; it gives back what is above.</summary>
    [Id(4)] public long Keep { get; init; }

    /// <summary>Milliseconds until units may become free, when less than <see cref="LeaseReport.AtLeast"/> could be granted; 0 if unknown.</summary>
    [Id(5)] public long RetryAfterMs { get; init; }

    /// <summary>For slots: the endpoint's queue. Null for money, and from silos of an earlier version.</summary>
    [Id(6)] public SlotQueueReply? Queue { get; init; }
}
