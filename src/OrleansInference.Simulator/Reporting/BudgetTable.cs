using System.Globalization;
using System.Text;
using OrleansInference.Simulator.Measures;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace OrleansInference.Simulator.Reporting;

/// <summary>What became of the tenants' budgets, for a console and for the page.</summary>
internal static class BudgetTable
{
    private static readonly string[] Columns = ["Policy", "Tenant", "Budget", "Most charged in a window", "Charged in all", "In time", "Refused for the budget", "Held for it"];

    /// <summary>The table for a console; null if there are no budgets.</summary>
    public static IRenderable? Create(Comparison comparison)
    {
        var rows = Rows(comparison).ToList();
        if (rows.Count == 0)
        {
            return null;
        }

        var table = new Table { Border = TableBorder.Rounded };
        foreach (var (index, column) in Columns.Index())
        {
            table.AddColumn(new TableColumn(new Text(column)) { Alignment = index < 2 ? Justify.Left : Justify.Right });
        }

        foreach (var row in rows)
        {
            table.AddRow(row.Select(static cell => new Text(cell)));
        }

        return table;
    }

    /// <summary>The table for the page; empty if there are no budgets.</summary>
    public static string Write(Comparison comparison)
    {
        var rows = Rows(comparison).ToList();
        if (rows.Count == 0)
        {
            return "";
        }

        var html = new StringBuilder("<div class=\"wide\"><table><thead><tr>");
        foreach (var column in Columns)
        {
            html.Append(CultureInfo.InvariantCulture, $"<th>{column}</th>");
        }

        html.Append("</tr></thead><tbody>\n");
        foreach (var row in rows)
        {
            html.Append("<tr>");
            foreach (var (index, cell) in row.Index())
            {
                var tag = index < 2 ? "th" : "td";
                html.Append(CultureInfo.InvariantCulture, $"<{tag}>{Svg.Escape(cell)}</{tag}>");
            }

            html.Append("</tr>\n");
        }

        return html.Append("</tbody></table></div>\n").ToString();
    }

    private static IEnumerable<string[]> Rows(Comparison comparison) =>
        comparison.Policies.SelectMany(policy => policy.Budgets.Select(budget => Row(comparison, policy, budget)));

    private static string[] Row(Comparison comparison, PolicyResult policy, in BudgetResult budget)
    {
        var tally = policy.Tenants[budget.Tenant];
        return
        [
            policy.Name,
            comparison.Scenario.Tenants[budget.Tenant].Tenant,
            $"{Numbers.Dollars(budget.Limit)} in {Numbers.Duration(budget.WindowSeconds)}",
            Numbers.Dollars(budget.MostInWindow),
            Numbers.Dollars(budget.Charged),
            tally.Requests == 0 ? "–" : Numbers.Attainment((double)tally.Attained / tally.Requests),
            Numbers.Count(budget.Refused),
            Numbers.Count(budget.Held),
        ];
    }
}
