using System.Text.Json.Serialization;

namespace OrleansInference.Budgets;

/// <summary>A <see cref="TenantLedger"/> as it is stored. Amounts are nano-dollars, times Unix milliseconds unless said otherwise.</summary>
public sealed record TenantLedgerState
{
    /// <summary>Counts up with every change.</summary>
    [JsonPropertyName("version")] public long Version { get; init; }

    /// <summary>The latest moment the ledger has seen; its time never runs backwards.</summary>
    [JsonPropertyName("now")] public long Now { get; init; }

    /// <summary>Final charges since the ledger began.</summary>
    [JsonPropertyName("settledTotal")] public long SettledTotal { get; init; }

    /// <summary>Never accounted for, since the ledger began.</summary>
    [JsonPropertyName("unreportedTotal")] public long UnreportedTotal { get; init; }

    /// <summary>Final charges by time: start and length in Unix seconds and amount, in turn.</summary>
    [JsonPropertyName("settled")] public long[]? Settled { get; init; }

    /// <summary>Unreported money by time, written alike.</summary>
    [JsonPropertyName("unreported")] public long[]? Unreported { get; init; }

    /// <summary>Open direct reservations by time, written alike.</summary>
    [JsonPropertyName("reserved")] public long[]? Reserved { get; init; }

    /// <summary>Leases; null if there are none.</summary>
    [JsonPropertyName("escrow")] public EscrowState? Escrow { get; init; }

    /// <summary>Direct reservations that have changed since their <see cref="ReservationPage"/> was stored; null if none has.</summary>
    [JsonPropertyName("reservations")] public IReadOnlyList<ReservationRecord>? Reservations { get; init; }

    /// <summary>How many <see cref="ReservationPage"/>s there are; the others are in them.</summary>
    [JsonPropertyName("pages")] public int Pages { get; init; }

    /// <summary>Alerts given in the windows' present periods; null if there are none.</summary>
    [JsonPropertyName("alerts")] public IReadOnlyList<AlertRecord>? Alerts { get; init; }

    /// <summary>Recent spend, fading, in nano-dollars.</summary>
    [JsonPropertyName("recent")] public double Recent { get; init; }

    /// <summary>The moment of <see cref="Recent"/>.</summary>
    [JsonPropertyName("recentAt")] public long RecentAt { get; init; }
}
