using OrleansInference.Audit;

namespace OrleansInference.Oracles;

/// <summary>
/// P1 from the audit log alone: for every tenant and every position of every window, the charges inside are at most the
/// limit. Slow and plain on purpose: it knows no ledger, no lease and no bucket, and adds up every window position anew.
/// </summary>
public static class OverspendOracle
{
    /// <summary>Every breach of a tenant whose definition never changed.</summary>
    public static IReadOnlyList<Breach> Examine(IEnumerable<AuditRecord> log, TenantDefinition definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        return Examine(log, definition.Id, [new(long.MinValue, definition, Money.Zero)], clockSkewMs: 0);
    }

    /// <summary>Every breach of a tenant, one a window and definition.</summary>
    /// <param name="log">The audit log; records of other tenants are passed over.</param>
    /// <param name="tenant">Whose.</param>
    /// <param name="regimes">The definitions in the order in which they came into force, the first from the beginning.</param>
    /// <param name="clockSkewMs">The most by which the clock of a record may differ from the ledger's; only matters around a change.</param>
    public static IReadOnlyList<Breach> Examine(IEnumerable<AuditRecord> log, TenantId tenant, IReadOnlyList<BudgetRegime> regimes, long clockSkewMs)
    {
        ArgumentNullException.ThrowIfNull(log);
        ArgumentNullException.ThrowIfNull(regimes);
        ArgumentOutOfRangeException.ThrowIfZero(regimes.Count);
        AuditRecord[] charges = [.. log.Where(record => record.Tenant == tenant && record.Charge > Money.Zero).OrderBy(static record => record.ReservedAt)];
        List<Breach> breaches = [];
        for (var i = 0; i < regimes.Count; i++)
        {
            foreach (var window in regimes[i].Definition.Budgets)
            {
                if (Worst(charges, window, i, regimes, clockSkewMs) is { } what)
                {
                    breaches.Add(new("P1", tenant, what));
                }
            }
        }

        return breaches;
    }

    private static string? Worst(AuditRecord[] charges, BudgetWindowDefinition window, int regime, IReadOnlyList<BudgetRegime> regimes, long clockSkewMs)
    {
        var (since, definition, leased) = regimes[regime];
        var until = regime + 1 < regimes.Count ? regimes[regime + 1].Since : long.MaxValue;
        var zone = TimeZoneInfo.FindSystemTimeZoneById(definition.TimeZone);
        string? worst = null;
        Int128 most = 0;

        // The fullest positions of a window are those that end with a charge.
        foreach (var last in charges)
        {
            if (last.ReservedAt + clockSkewMs < since || last.ReservedAt + clockSkewMs >= until)
            {
                continue;
            }

            Int128 inside = 0;
            Int128 earlier = 0;
            foreach (var charge in charges)
            {
                if (charge.ReservedAt <= last.ReservedAt && IsSameWindow(charge.ReservedAt, last.ReservedAt, window, zone))
                {
                    inside += charge.Charge.Nanos;
                    earlier += regime > 0 && charge.ReservedAt <= since + clockSkewMs ? charge.Charge.Nanos : 0;
                }
            }

            var allowed = regime == 0 ? window.Limit.Nanos : Int128.Max(window.Limit.Nanos, earlier + leased.Nanos);
            if (inside - allowed > most)
            {
                most = inside - allowed;
                worst = $"{inside} nano-dollars charged in the {Name(window)} up to {last.ReservedAt}, {most} more than the {allowed} allowed (limit {window.Limit.Nanos}, spent before the change {earlier}, leased then {leased.Nanos})";
            }
        }

        return worst;
    }

    private static bool IsSameWindow(long early, long late, BudgetWindowDefinition window, TimeZoneInfo zone)
    {
        if (window.Kind == BudgetWindowKind.Rolling)
        {
            return early > late - window.Seconds * 1000;
        }

        var (a, b) = (Local(early, zone), Local(late, zone));
        return window.Kind == BudgetWindowKind.CalendarDay ? a.Date == b.Date : (a.Year, a.Month) == (b.Year, b.Month);
    }

    private static DateTime Local(long ms, TimeZoneInfo zone) => TimeZoneInfo.ConvertTime(DateTimeOffset.FromUnixTimeMilliseconds(ms), zone).DateTime;

    private static string Name(BudgetWindowDefinition window) =>
        window.Kind == BudgetWindowKind.Rolling ? $"rolling window of {window.Seconds} s" : window.Kind.ToString();
}
