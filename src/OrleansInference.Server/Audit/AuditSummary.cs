using System.Collections.Immutable;

namespace OrleansInference.Audit;

/// <summary>The audit log in figures.</summary>
/// <param name="Tenants">By tenant, in order of their ids.</param>
/// <param name="Gaps">Runs of the server that did not end in order: their last records may be missing.</param>
public sealed record AuditSummary(ImmutableArray<AuditTotal> Tenants, ImmutableArray<AuditGap> Gaps);

/// <summary>One tenant's records.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Records">Ended reservations.</param>
/// <param name="Settled">Of them charged.</param>
/// <param name="Charged">Sum of their charges.</param>
public sealed record AuditTotal(TenantId Tenant, long Records, long Settled, Money Charged);

/// <summary>A run that did not end in order.</summary>
/// <param name="StartedAt">When it started.</param>
/// <param name="LastRecordAt">When the last record that was kept of it ended; null if none was.</param>
public sealed record AuditGap(DateTimeOffset StartedAt, DateTimeOffset? LastRecordAt);
