using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace OrleansInference.Demo;

/// <summary>The demo's figures as tables, for the live view and the summary alike.</summary>
internal static class DemoTables
{
    private static readonly Lane[] Lanes = Enum.GetValues<Lane>();

    /// <summary>All tables.</summary>
    public static IRenderable All(DemoFigures figures)
    {
        var top = new Columns(LanesOf(figures.Counts), ClassesOf(figures.Counts)) { Expand = false };
        var bottom = new Columns(EndpointsOf(figures), BudgetsOf(figures)) { Expand = false };
        return new Rows(top, bottom, new Markup(Spend(figures)));
    }

    /// <summary>Spend next to fixed real-time fleets, in one line of markup.</summary>
    public static string Spend(DemoFigures figures) => Invariant(
        $"Operator's cost [bold]{Dollars(figures.Cost)}[/]   charged to tenants {Dollars(Charged(figures.Counts))}   fixed real-time fleets, no autoscaling: {Dollars(figures.AllRealtimeAt99)} (sized for the 99th-percentile minute), {Dollars(figures.AllRealtimeAtPeak)} (for the busiest)");

    /// <summary>The figures in one line, for output that is no terminal.</summary>
    public static string Line(DemoFigures figures)
    {
        var counts = figures.Counts;
        var lanes = string.Join(' ', Lanes.Select(lane => Invariant($"{lane}={counts.Lanes[(int)lane]}")));
        var classes = string.Join(' ', counts.Classes.Select(c => Invariant($"{c.Class} p50={Seconds(c.P50Seconds)} p99={Seconds(c.P99Seconds)} of trace time, errors={c.Failed}")));
        var budgets = string.Join(' ', figures.Budgets.Select(budget => $"{budget.Tenant}={Dollars(budget.Left)}"));
        return Invariant($"sent {counts.Sent}, answered {counts.Answered} ({lanes}), jobs open {counts.Pending.Sum()}; {classes}; left {budgets}; cost {Dollars(figures.Cost)}, fixed real-time fleets {Dollars(figures.AllRealtimeAt99)}");
    }

    /// <summary>Dollars with six decimals, and up to nine where six would not show the amount.</summary>
    public static string Dollars(Money money) => money.ToDollars().ToString(Math.Abs(money.Nanos) < 1_000_000 ? "$0.000000###" : "$0.000000", CultureInfo.InvariantCulture);

    /// <summary>The charges that callers saw, of all tenants.</summary>
    public static Money Charged(DemoCounts counts) => counts.Charges.Values.Aggregate(Money.Zero, (sum, charge) => sum + charge);

    private static Table LanesOf(DemoCounts counts)
    {
        var table = New("Lane", "Predictions", "Jobs open");
        foreach (var lane in Lanes)
        {
            table.AddRow(lane.ToString(), Count(counts.Lanes[(int)lane]), lane is Lane.Async or Lane.Batch ? Count(counts.Pending[(int)lane]) : "");
        }

        table.AddRow("[bold]all[/]", $"[bold]{Count(counts.Answered)}[/]", Count(counts.Pending.Sum()));
        return table;
    }

    private static Table ClassesOf(DemoCounts counts)
    {
        var table = New("Class", "Sent", "Answered", "p50, trace time", "p99, trace time", "Errors");
        foreach (var c in counts.Classes)
        {
            var errors = c.Failed == 0 ? "0" : Invariant($"{c.Failed}: ") + string.Join(", ", c.Errors.Select(error => Invariant($"{error.Key} {error.Value}")));
            table.AddRow(c.Class.ToString(), Count(c.Sent), Count(c.Answered), Seconds(c.P50Seconds), Seconds(c.P99Seconds), Markup.Escape(errors));
        }

        return table;
    }

    private static Table EndpointsOf(DemoFigures figures)
    {
        var table = New("Endpoint", "Lane", "Instances", "Predictions", "Cost", "Cost each", "Charged");
        foreach (var endpoint in figures.Endpoints)
        {
            table.AddRow(
                endpoint.Name.Value,
                endpoint.Lane.ToString(),
                endpoint.Lane is Lane.Realtime or Lane.Async ? Invariant($"{endpoint.InService} of {endpoint.Desired}") : "",
                Count(endpoint.Predictions),
                Dollars(endpoint.Cost),
                endpoint.CostPerPrediction is { } each ? Dollars(each) : "",
                Dollars(endpoint.Charged));
        }

        return table;
    }

    private static Table BudgetsOf(DemoFigures figures)
    {
        var table = New("Tenant", "Settled", "Left", "of");
        foreach (var budget in figures.Budgets)
        {
            var low = budget.Left.Nanos < budget.Limit.Nanos / 10;
            var left = Dollars(budget.Left);
            table.AddRow(budget.Tenant.Value, Dollars(budget.Settled), low ? $"[red]{left}[/]" : left, Dollars(budget.Limit));
        }

        return table;
    }

    private static Table New(params string[] columns)
    {
        var table = new Table { Border = TableBorder.Rounded };
        for (var i = 0; i < columns.Length; i++)
        {
            table.AddColumn(columns[i], column =>
            {
                column.NoWrap = true;
                column.Alignment = i == 0 ? Justify.Left : Justify.Right;
            });
        }

        return table;
    }

    private static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Seconds(double? seconds) => seconds is { } s ? s.ToString(s < 10 ? "0.00" : "0.0", CultureInfo.InvariantCulture) + " s" : "-";

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
