using System.Collections.Immutable;

namespace OrleansInference.Audit;

/// <summary>The audit log in figures.</summary>
/// <param name="Tenants">By tenant, in order of their ids: sums of every record there ever was, removed ones too.</param>
/// <param name="Gaps">Runs of the server that did not end in order: their last records may be missing.</param>
/// <param name="Removed">What retention has removed; null if nothing yet.</param>
public sealed record AuditSummary(ImmutableArray<AuditTotal> Tenants, ImmutableArray<AuditGap> Gaps, AuditRemoval? Removed = null);

/// <summary>One tenant's records.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Records">Ended reservations.</param>
/// <param name="Settled">Of them charged.</param>
/// <param name="Charged">Sum of their charges.</param>
/// <param name="Folded">Of them kept as sums alone, since they ended faster than storage could write.</param>
/// <param name="CarriedOver">Of them those of requests that had arrived in an earlier run of the server; null if there are none.</param>
public sealed record AuditTotal(TenantId Tenant, long Records, long Settled, Money Charged, long Folded = 0, AuditCarriedOver? CarriedOver = null)
{
    /// <summary>What AWS billed for its members of batch windows: the operator's cost, beside the charges.</summary>
    public Money WindowCost { get; init; }
}

/// <summary>Reservations that ended in a later run of the server than the one their requests arrived in: jobs, as a rule.</summary>
/// <param name="Records">Ended reservations.</param>
/// <param name="Predictions">Of them ended without a problem.</param>
/// <param name="Charged">Sum of their charges.</param>
public sealed record AuditCarriedOver(long Records, long Predictions, Money Charged);

/// <summary>A run that did not end in order.</summary>
/// <param name="StartedAt">When it started.</param>
/// <param name="LastRecordAt">When the last record that was kept of it ended; null if none was.</param>
public sealed record AuditGap(DateTimeOffset StartedAt, DateTimeOffset? LastRecordAt);

/// <summary>Records that are no longer kept one by one.</summary>
/// <param name="Records">Ended reservations.</param>
/// <param name="Charged">Sum of their charges.</param>
/// <param name="Until">When the last of them ended.</param>
public sealed record AuditRemoval(long Records, Money Charged, DateTimeOffset Until);
