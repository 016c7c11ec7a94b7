using Spectre.Console;
using Spectre.Console.Rendering;

namespace OrleansInference.Simulator.Reporting;

/// <summary>A comparison as a table for a console.</summary>
internal static class ComparisonTable
{
    /// <summary>The table, with the lower bound below.</summary>
    public static IRenderable Create(Comparison comparison)
    {
        var table = new Table { Border = TableBorder.Rounded };
        string[] columns =
        [
            "Policy", "Cost", "× bound", "× target-\ntracking", "In time, %\nHigh / Medium / Low", "p50\nHigh / Medium / Low", "p99\nHigh / Medium / Low", "Instance-\nhours", "Used", "Scale\nchanges", "Simulated\nrequests/s",
        ];
        for (var i = 0; i < columns.Length; i++)
        {
            table.AddColumn(new TableColumn(new Text(columns[i])) { NoWrap = true, Alignment = i == 0 ? Justify.Left : Justify.Right });
        }

        foreach (var policy in comparison.Policies)
        {
            table.AddRow(
                new Text(policy.Name),
                new Text(Numbers.Dollars(policy.Cost)),
                new Text(Numbers.Ratio(Comparison.ToLowerBound(policy))),
                new Text(Numbers.Ratio(comparison.ToYardstick(policy.Cost))),
                new Text(string.Join(" / ", policy.Classes.Select(static tally => Numbers.Attainment(tally.Attainment).Replace(" %", "", StringComparison.Ordinal)))),
                new Text(string.Join(" / ", policy.Classes.Select(static tally => Numbers.Duration(tally.LatencySeconds(0.5))))),
                new Text(string.Join(" / ", policy.Classes.Select(static tally => Numbers.Duration(tally.LatencySeconds(0.99))))),
                new Text(Numbers.Count(policy.InstanceHours)),
                new Text(Numbers.Percent(policy.Utilization, 1)),
                new Text(Numbers.Count(policy.ScaleChanges)),
                new Text(policy.WallSeconds > 0 ? Numbers.Count(policy.Requests / policy.WallSeconds) : "–"));
        }

        var below = new List<string>();
        if (comparison.LowerBound is { } bound)
        {
            below.Add($"Lower bound {Numbers.Dollars(bound)} for everything in time; × bound: for what the policy itself answered in time.");
        }

        if (!comparison.Policies.IsEmpty)
        {
            var first = comparison.Policies[0];
            below.Add($"{Numbers.Count(first.Requests)} requests, and {Numbers.Count(first.Infeasible)} that no lane can serve.");
        }

        var text = new Text(string.Join(' ', below));
        return BudgetTable.Create(comparison) is { } budgets ? new Rows(table, text, budgets) : new Rows(table, text);
    }
}
