using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>An <see cref="Escrow"/> as it is stored.</summary>
public sealed record EscrowState
{
    /// <summary>Open leases.</summary>
    [JsonPropertyName("leases")] public IReadOnlyList<LeaseRecord> Leases { get; init; } = [];

    /// <summary>Leases that ended.</summary>
    [JsonPropertyName("ended")] public IReadOnlyList<EndedLease> Ended { get; init; } = [];
}

/// <summary>What the owner knows of an open lease. Counters are cumulative units since it began.</summary>
public sealed record LeaseRecord
{
    /// <summary>The holder: a silo and its incarnation.</summary>
    [JsonPropertyName("holder")] public required string Holder { get; init; }

    /// <summary>The lease within the holder.</summary>
    [JsonPropertyName("id")] public required long LeaseId { get; init; }

    /// <summary>Granted.</summary>
    [JsonPropertyName("granted")] public long Granted { get; init; }

    /// <summary>Reported as spent.</summary>
    [JsonPropertyName("settled")] public long Settled { get; init; }

    /// <summary>Given back.</summary>
    [JsonPropertyName("returned")] public long Returned { get; init; }

    /// <summary>Reserved by requests under way, as last reported.</summary>
    [JsonPropertyName("pending")] public long Pending { get; init; }

    /// <summary>What the holder last asked to have available.</summary>
    [JsonPropertyName("wanted")] public long Wanted { get; init; }

    /// <summary>What a waiting request needs and could not be granted; 0 if none waits.</summary>
    [JsonPropertyName("unmet")] public long Unmet { get; init; }

    /// <summary>Unix ms until which <see cref="Unmet"/> is taken to wait.</summary>
    [JsonPropertyName("unmetUntil")] public long UnmetUntil { get; init; }

    /// <summary>Unix ms after which the holder must not spend.</summary>
    [JsonPropertyName("until")] public long SpendUntil { get; init; }

    /// <summary>Whether it is no longer renewed.</summary>
    [JsonPropertyName("fenced")] public bool Fenced { get; init; }

    /// <summary>Granted and neither spent nor given back.</summary>
    [JsonIgnore] public long Outstanding => Math.Max(0, Granted - Settled - Returned);

    /// <summary>Outstanding and not reserved by a request.</summary>
    [JsonIgnore] public long Free => Math.Max(0, Outstanding - Pending);
}

/// <summary>A lease that was closed or has expired: remembered so that its late messages are known.</summary>
public sealed record EndedLease
{
    /// <summary>The holder.</summary>
    [JsonPropertyName("holder")] public required string Holder { get; init; }

    /// <summary>The lease within the holder.</summary>
    [JsonPropertyName("id")] public required long LeaseId { get; init; }

    /// <summary>Units reported as spent before it ended.</summary>
    [JsonPropertyName("settled")] public long Settled { get; init; }

    /// <summary>Units that counted as spent when it expired and have not been accounted for since.</summary>
    [JsonPropertyName("unreported")] public long Unreported { get; init; }

    /// <summary>Unix ms at which <see cref="Unreported"/> counts.</summary>
    [JsonPropertyName("at")] public long CountedAt { get; init; }

    /// <summary>Unix ms of its end.</summary>
    [JsonPropertyName("ended")] public long EndedAt { get; init; }
}
