using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Whom a policy's cost was for.</summary>
internal static class TenantChart
{
    /// <summary>Tenants that are shown each for itself.</summary>
    public const int Most = 20;

    private const double Left = 300;
    private const double Right = CostChart.Width - 200;
    private const double Row = 22;
    private const double Top = 8;

    /// <summary>The tenants that are shown each for itself: those that cost most under all policies together, so that every policy's chart has the same.</summary>
    public static IReadOnlyList<int> Shown(Comparison comparison) =>
        [.. Enumerable.Range(0, comparison.Scenario.Tenants.Length).OrderByDescending(tenant => comparison.Policies.Sum(policy => CostChart.Dollars(policy.TenantCosts[tenant]))).Take(Most)];

    /// <summary>The chart of a policy, on the axis that all policies share.</summary>
    public static string Draw(Comparison comparison, PolicyResult policy, IReadOnlyList<int> shown)
    {
        var rows = shown.Select(tenant => Of(comparison, policy, tenant)).ToList();
        var others = comparison.Scenario.Tenants.Length - shown.Count;
        var all = Sum(policy.TenantCosts);
        if (others > 0)
        {
            rows.Add(($"{others} other tenants", all - Sum(shown.Select(tenant => policy.TenantCosts[tenant])), ""));
        }

        if (policy.Cost > all)
        {
            rows.Add(("instances that served nobody", policy.Cost - all, ""));
        }

        var most = comparison.Policies.Max(each => each.TenantCosts.Select(CostChart.Dollars).DefaultIfEmpty().Max());
        var axis = Axis.Of(Math.Max(most, rows.Select(static row => CostChart.Dollars(row.Cost)).DefaultIfEmpty().Max()), Left, Right);
        var bottom = Top + (rows.Count * Row) + 4;
        var svg = new Svg(CostChart.Width, bottom + 44, $"Cost by tenant under {policy.Name}");
        foreach (var tick in axis.Ticks(6))
        {
            svg.Line(axis.At(tick), Top, axis.At(tick), bottom, "grid");
            svg.Text(axis.At(tick), bottom + 16, "$" + Axis.Label(tick), "t middle");
        }

        svg.Text((Left + Right) / 2, bottom + 36, "cost of the whole run, US dollars", "t middle");
        for (var i = 0; i < rows.Count; i++)
        {
            var (name, cost, inTime) = rows[i];
            var y = Top + (i * Row);
            var share = policy.Cost > Money.Zero ? (double)cost.Nanos / policy.Cost.Nanos : 0;
            CostChart.Name(svg, name, y, Left, Row);
            svg.Box(Left, y + 4, axis.At(CostChart.Dollars(cost)) - Left, Row - 8, "bar", $"{name}: {Numbers.Dollars(cost)}, {Numbers.Percent(share, 1)} of the cost{(inTime.Length > 0 ? ", " + inTime : "")}");
            svg.Text(axis.At(CostChart.Dollars(cost)) + 8, y + (Row / 2) + 4, $"{Numbers.Dollars(cost)}  ·  {Numbers.Percent(share, 1)}", "t halo");
        }

        return svg.ToString();
    }

    private static (string Name, Money Cost, string InTime) Of(Comparison comparison, PolicyResult policy, int index)
    {
        var tenant = comparison.Scenario.Tenants[index];
        var tally = policy.Tenants[index];
        var inTime = tally.Requests == 0 ? "no requests" : $"{Numbers.Percent((double)tally.Attained / tally.Requests)} of {Numbers.Count(tally.Requests)} requests in time";
        return ($"{tenant.Tenant} · {tenant.Model}, {tenant.Class}", policy.TenantCosts[index], inTime);
    }

    private static Money Sum(IEnumerable<Money> amounts) => amounts.Aggregate(Money.Zero, static (sum, each) => sum + each);
}
