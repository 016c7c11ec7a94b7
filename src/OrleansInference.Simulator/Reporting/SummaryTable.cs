using System.Globalization;
using System.Text;
using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Reporting;

/// <summary>The figures of a comparison as a table of the page; each cell carries its exact figure beside the one for reading.</summary>
internal static class SummaryTable
{
    /// <summary>The table.</summary>
    public static string Write(Comparison comparison)
    {
        var html = new StringBuilder();
        html.Append("<div class=\"wide\"><table><thead><tr><th rowspan=\"2\">Policy</th><th rowspan=\"2\">Cost</th><th rowspan=\"2\">÷ lower bound for what it answered</th><th rowspan=\"2\">÷ target-tracking</th>");
        html.Append("<th colspan=\"3\" class=\"group\">In time</th><th colspan=\"3\" class=\"group\">p50</th><th colspan=\"3\" class=\"group\">p99</th>");
        html.Append("<th rowspan=\"2\">Instance-hours</th><th rowspan=\"2\">Used</th><th rowspan=\"2\">Scale changes</th></tr><tr>");
        for (var i = 0; i < 3; i++)
        {
            html.Append("<th class=\"first\">High</th><th>Medium</th><th>Low</th>");
        }

        html.Append("</tr></thead><tbody>\n");
        var cheapest = comparison.Policies.Select(static policy => policy.Cost).DefaultIfEmpty().Min();
        foreach (var policy in comparison.Policies)
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr data-policy=\"{Svg.Escape(policy.Name)}\"><th>{Svg.Escape(policy.Name)}</th>");
            Cell(html, "costUsd", policy.Cost.ToDollars().ToString(CultureInfo.InvariantCulture), Numbers.Dollars(policy.Cost), policy.Cost == cheapest ? "best" : "");
            html.Append(CultureInfo.InvariantCulture, $"<td>{Numbers.Ratio(Comparison.ToLowerBound(policy))}</td><td>{Numbers.Ratio(comparison.ToYardstick(policy.Cost))}</td>");
            ByClass(html, policy, "attainment", static tally => tally.Attainment, Numbers.Attainment, (value, trafficClass) => value < comparison.Scenario.Classes[(int)trafficClass].TargetAttainment);
            ByClass(html, policy, "p50Seconds", static tally => tally.LatencySeconds(0.5), Numbers.Duration);
            ByClass(html, policy, "p99Seconds", static tally => tally.LatencySeconds(0.99), Numbers.Duration);
            Cell(html, "instanceHours", Exact(policy.InstanceHours), Numbers.Count(policy.InstanceHours), "first");
            Cell(html, "utilization", Exact(policy.Utilization), Numbers.Percent(policy.Utilization, 1));
            Cell(html, "scaleChanges", Exact(policy.ScaleChanges), Numbers.Count(policy.ScaleChanges));
            html.Append("</tr>\n");
        }

        return html.Append("</tbody></table></div>\n").ToString();
    }

    private static void ByClass(StringBuilder html, PolicyResult policy, string figure, Func<ClassTally, double> value, Func<double, string> text, Func<double, TrafficClass, bool>? isMissed = null)
    {
        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            var tally = policy.Classes[(int)trafficClass];
            var (each, isEmpty) = (value(tally), tally.Requests == 0);
            var style = (trafficClass == TrafficClass.High ? "first " : "") + (!isEmpty && isMissed?.Invoke(each, trafficClass) == true ? "miss" : "");
            Cell(html, $"{figure}.{trafficClass}", Exact(each), isEmpty ? "–" : text(each), style.Trim());
        }
    }

    private static void Cell(StringBuilder html, string figure, string exact, string text, string style = "") =>
        html.Append(CultureInfo.InvariantCulture, $"<td{(style.Length > 0 ? $" class=\"{style}\"" : "")} data-figure=\"{figure}\" data-value=\"{exact}\">{text}</td>");

    private static string Exact(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
