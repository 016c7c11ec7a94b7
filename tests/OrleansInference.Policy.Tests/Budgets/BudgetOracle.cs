namespace OrleansInference.Tests.Budgets;

/// <summary>A charge, labelled with its holder's time of admission.</summary>
internal sealed class Admission(long at, long amount)
{
    public long At { get; } = at;

    /// <summary>What it may cost at most, until it is known.</summary>
    public long Charge { get; set; } = amount;
}

/// <summary>A tenant's definition from a moment of the owner's time on, and what was out on leases then.</summary>
internal sealed record Regime(long Since, TenantDefinition Definition, long Leased);

/// <summary>
/// Recomputes from a plain list of admissions whether any position of any window held more than its limit. After a limit
/// was lowered, what was leased by then may still be spent on top of what had been spent.
/// </summary>
internal static class BudgetOracle
{
    public static string? Overspend(IEnumerable<Admission> admissions, IReadOnlyList<Regime> regimes, long skewMs)
    {
        var sorted = admissions.Where(static a => a.Charge > 0).OrderBy(static a => a.At).ToArray();
        var windows = regimes.SelectMany(static r => r.Definition.Budgets.Select(w => (w.Kind, w.Seconds, r.Definition.TimeZone))).Distinct();
        foreach (var (kind, seconds, zone) in windows)
        {
            if (Overspend(sorted, kind, seconds, zone, regimes, skewMs) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    private static string? Overspend(Admission[] sorted, BudgetWindowKind kind, long seconds, string zoneId, IReadOnlyList<Regime> regimes, long skewMs)
    {
        var zone = TimeZoneInfo.FindSystemTimeZoneById(zoneId);
        var first = 0;
        var sum = 0L;
        for (var last = 0; last < sorted.Length; last++)
        {
            sum += sorted[last].Charge;
            while (!SameWindow(sorted[first].At, sorted[last].At, kind, seconds, zone))
            {
                sum -= sorted[first++].Charge;
            }

            // All of them are counted together when the owner's clock shows this:
            var moment = sorted[last].At + skewMs;
            var regime = regimes.Last(r => r.Since <= moment || r == regimes[0]);
            foreach (var window in regime.Definition.Budgets)
            {
                if (window.Kind != kind || window.Seconds != seconds || regime.Definition.TimeZone != zoneId || sum <= window.Limit.Nanos)
                {
                    continue;
                }

                var spentBefore = 0L;
                for (var i = first; i <= last && regime != regimes[0]; i++)
                {
                    spentBefore += sorted[i].At <= regime.Since + skewMs ? sorted[i].Charge : 0;
                }

                if (sum > Math.Max(window.Limit.Nanos, spentBefore + regime.Leased))
                {
                    return $"{sum} charged in the {kind} window of {seconds} s up to {sorted[last].At}; limit {window.Limit.Nanos}, spent before the last change {spentBefore}, leased then {regime.Leased}";
                }
            }
        }

        return null;
    }

    private static bool SameWindow(long early, long late, BudgetWindowKind kind, long seconds, TimeZoneInfo zone)
    {
        if (kind == BudgetWindowKind.Rolling)
        {
            return early > late - seconds * 1000;
        }

        var (a, b) = (Local(early, zone), Local(late, zone));
        return kind == BudgetWindowKind.CalendarDay ? a.Date == b.Date : (a.Year, a.Month) == (b.Year, b.Month);
    }

    private static DateTime Local(long ms, TimeZoneInfo zone) => TimeZoneInfo.ConvertTime(DateTimeOffset.FromUnixTimeMilliseconds(ms), zone).DateTime;
}
