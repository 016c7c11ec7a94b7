namespace OrleansInference;

/// <summary>
/// What the holder of a part of a rate limit tells its owner. As in a <see cref="LeaseReport"/>, counters are cumulative over the life of the lease.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.RateReport")]
public sealed record RateReport
{
    /// <summary>The units of the limit's bucket that it holds; a unit has room for one request and is refilled at its part of the rate.</summary>
    [Id(0)] public required LeaseReport Lease { get; init; }

    /// <summary>Millionths of requests that were still in the units given back, since the lease began.</summary>
    [Id(1)] public long MicrosReturned { get; init; }
}

/// <summary>The owner's answer to a <see cref="RateReport"/>, durable before it is sent.</summary>
[GenerateSerializer, Immutable, Alias("oi.RateGrant")]
public sealed record RateGrant
{
    /// <summary>The units.</summary>
    [Id(0)] public required LeaseGrant Lease { get; init; }

    /// <summary>Millionths of requests that were in the units granted, since the lease began.</summary>
    [Id(1)] public long MicrosGranted { get; init; }

    /// <summary>Requests per second that each unit is refilled with.</summary>
    [Id(2)] public double PerUnitSecond { get; init; }

    /// <summary>Units of the whole limit: its burst.</summary>
    [Id(3)] public int Burst { get; init; }

    /// <summary>Requests that there was room for beside what silos hold.</summary>
    [Id(4)] public long AtHome { get; init; }
}
