using OrleansInference.Audit;

namespace OrleansInference.Oracles;

/// <summary>
/// P2 from the audit log alone: a request is charged at most once and at most its cap; what was refused or could not be
/// sent is charged nothing.
/// </summary>
public static class ChargeOracle
{
    // How a request ends that never ran: nobody had a use of it, so nobody pays.
    private static readonly HashSet<ProblemCode> NeverRan =
    [
        ProblemCode.InvalidRequest, ProblemCode.UnknownModel, ProblemCode.UnknownTenant, ProblemCode.UnknownJob, ProblemCode.PayloadTooLarge,
        ProblemCode.BudgetExhausted, ProblemCode.DeadlineUnreachable, ProblemCode.NoCandidate, ProblemCode.IdempotencyConflict,
    ];

    /// <summary>Every breach.</summary>
    /// <param name="log">The audit log.</param>
    /// <param name="refused">Requests that their callers saw refused, by tenant and request.</param>
    public static IReadOnlyList<Breach> Examine(IEnumerable<AuditRecord> log, IReadOnlyCollection<(TenantId Tenant, string Request)>? refused = null)
    {
        ArgumentNullException.ThrowIfNull(log);
        List<Breach> breaches = [];
        HashSet<(TenantId, string)> charged = [];
        foreach (var record in log)
        {
            if (record.Charge > Money.Zero && !charged.Add((record.Tenant, record.Request)))
            {
                breaches.Add(Of(record, "was charged before"));
            }

            if (record.Charge > record.Cap)
            {
                breaches.Add(Of(record, $"was charged more than its cap of {record.Cap} $"));
            }

            if (record.Charge.IsNegative || (record.Kind == AuditKind.Settle) != (record.Charge > Money.Zero))
            {
                breaches.Add(Of(record, $"is recorded as {record.Kind}"));
            }

            if (record.Charge > Money.Zero && record.Problem is { } problem && NeverRan.Contains(problem))
            {
                breaches.Add(Of(record, $"never ran: {problem}"));
            }
        }

        breaches.AddRange((refused ?? []).Where(charged.Contains).Select(static r => new Breach("P2", r.Tenant, $"request '{r.Request}' was refused and charged")));
        return breaches;
    }

    private static Breach Of(AuditRecord record, string what) =>
        new("P2", record.Tenant, $"request '{record.Request}', charged {record.Charge} $ at {record.EndedAt}, {what}");
}
