using System.Globalization;
using System.Text;

namespace OrleansInference.Simulator.Reporting;

/// <summary>
/// A comparison as one HTML page that needs nothing else: no network, no script. Which chart of several is shown is chosen by radio buttons and the style sheet.
/// The page is well-formed XML too; the same comparison gives the same bytes.
/// </summary>
internal static class HtmlReport
{
    private const string HowToRun = "dotnet run --project src/OrleansInference.Simulator -c Release -- ";
    private static readonly string[] Favourites = ["ours", Comparison.Yardstick];

    private static readonly (string Id, string Title)[] Sections =
    [
        ("summary", "Summary"),
        ("cost", "Cost by policy"),
        ("attainment", "Attainment by class"),
        ("load", "Load, capacity and queue"),
        ("latency", "Latency by class"),
        ("lanes", "Where the money went: lanes"),
        ("tenants", "Where the money went: tenants"),
        ("tuning", "How each policy was tuned"),
        ("again", "Run it again"),
    ];

    /// <summary>UTF-8.</summary>
    public static byte[] Write(Comparison comparison)
    {
        ArgumentNullException.ThrowIfNull(comparison);
        var html = new StringBuilder();
        var title = Svg.Escape(comparison.Scenario.Name);
        html.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>");
        html.Append(CultureInfo.InvariantCulture, $"<title>{title}: policies compared</title>\n<style>\n{ReportStyle.Sheet}\n{Choices(comparison)}</style></head>\n<body><main>\n");
        html.Append(CultureInfo.InvariantCulture, $"<h1>{title}</h1>\n<p class=\"lead\">{Svg.Escape(Ground(comparison))}</p>\n<nav>");
        foreach (var (id, text) in Sections)
        {
            html.Append(CultureInfo.InvariantCulture, $"<a href=\"#{id}\">{text}</a>");
        }

        html.Append("</nav>\n");
        foreach (var (id, text) in Sections)
        {
            html.Append(CultureInfo.InvariantCulture, $"<section id=\"{id}\"><h2>{text}</h2>\n");
            Fill(html, comparison, id);
            html.Append("</section>\n");
        }

        return Encoding.UTF8.GetBytes(html.Append("</main></body></html>\n").ToString());
    }

    private static string Ground(Comparison comparison)
    {
        var scenario = comparison.Scenario;
        var traffic = comparison.Policies.IsEmpty ? "" : $" {Numbers.Count(comparison.Policies[0].Requests)} requests, and {Numbers.Count(comparison.Policies[0].Infeasible)} that no lane can serve, which count for no policy.";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{scenario.Days} days, {scenario.Tenants.Length} tenants on {scenario.Models.Length} models, {scenario.RateScale} × the traced rates, seed {scenario.Seed}.{traffic}");
    }

    private static void Fill(StringBuilder html, Comparison comparison, string section)
    {
        switch (section)
        {
            case "summary":
                html.Append(SummaryTable.Write(comparison));
                html.Append("<p class=\"note\">Cost is what AWS bills. In time: answered by the deadline with the quality asked for; ▼ is below the target. Used: share of the billed time of all slots in which a request was served. The cheapest is in bold.</p>\n");
                break;
            case "cost":
                Figure(html, CostChart.Whole(comparison));
                html.Append("<p class=\"note\">No policy that answers every request in time can be cheaper than the lower bound, which knows all that is to come. Beside each policy is what it cost over the bound for as many requests of each model and class as it answered in time itself.</p>\n");
                break;
            case "attainment":
                Figure(html, AttainmentChart.Draw(comparison));
                html.Append("<p class=\"note\">A full dot meets its target, a hollow one misses it.</p>\n");
                break;
            case "load":
                Load(html, comparison);
                break;
            case "latency":
                html.Append("<p class=\"note\">The share of answers that took at most so long. All policies have the same axis, which is logarithmic.</p><div class=\"small-multiples\">\n");
                foreach (var policy in comparison.Policies)
                {
                    Figure(html, LatencyChart.Draw(comparison, policy));
                }

                html.Append("</div>\n");
                break;
            case "lanes":
                Figure(html, CostChart.ByLane(comparison));
                break;
            case "tenants":
                Tenants(html, comparison);
                break;
            case "tuning":
                Tuning(html, comparison);
                break;
            default:
                html.Append(CultureInfo.InvariantCulture, $"<pre>{Svg.Escape(HowToRun + comparison.Command)} --report report.html</pre>\n<p class=\"note\">The same seed gives the same figures, to the last digit.</p>\n");
                break;
        }
    }

    private static void Load(StringBuilder html, Comparison comparison)
    {
        Pick(html, "Model", "load-model", [.. comparison.Scenario.Models.Select(static model => model.Model)], 0);
        Pick(html, "Policy", "load-policy", Names(comparison), Favourite(comparison));
        for (var policy = 0; policy < comparison.Policies.Length; policy++)
        {
            for (var model = 0; model < comparison.Scenario.Models.Length; model++)
            {
                Figure(html, LoadChart.Draw(comparison, policy, model), $"load-{policy}-{model}");
            }
        }

        html.Append("<p class=\"note\">A slot serves one request at a time; a serverless execution is one while it runs. Capacity has the same axis for all policies of a model, the queue has its own. Deferrable work that waits for a cheaper hour is in the queue too.</p>\n");
    }

    private static void Tenants(StringBuilder html, Comparison comparison)
    {
        html.Append(BudgetTable.Write(comparison));
        var shown = TenantChart.Shown(comparison);
        html.Append(CultureInfo.InvariantCulture, $"<p class=\"note\">The {shown.Count} tenants that cost most under all policies together. Each endpoint's cost is shared by the time that tenants used of its slots, so that idle time is paid by those who use the endpoint.</p>");
        Pick(html, "Policy", "tenant-policy", Names(comparison), Favourite(comparison));
        for (var policy = 0; policy < comparison.Policies.Length; policy++)
        {
            Figure(html, TenantChart.Draw(comparison, comparison.Policies[policy], shown), $"tenant-{policy}");
        }
    }

    private static void Tuning(StringBuilder html, Comparison comparison)
    {
        html.Append("<dl>");
        foreach (var policy in comparison.Policies)
        {
            html.Append(CultureInfo.InvariantCulture, $"<dt>{Svg.Escape(policy.Name)}</dt><dd>{Svg.Escape(comparison.About.GetValueOrDefault(policy.Name, ""))}</dd>");
            html.Append(CultureInfo.InvariantCulture, $"<dd class=\"how\">{(policy.How.Length > 0 ? Svg.Escape(policy.How) : "Nothing was tuned.")}</dd>\n");
        }

        html.Append("</dl>\n");
    }

    private static void Pick(StringBuilder html, string legend, string group, IReadOnlyList<string> names, int chosen)
    {
        html.Append(CultureInfo.InvariantCulture, $"<fieldset><legend>{legend}</legend>");
        for (var i = 0; i < names.Count; i++)
        {
            html.Append(CultureInfo.InvariantCulture, $"<label class=\"pick\"><input type=\"radio\" name=\"{group}\" id=\"{group}-{i}\"{(i == chosen ? " checked=\"checked\"" : "")}/>{Svg.Escape(names[i])}</label>");
        }

        html.Append("</fieldset>\n");
    }

    /// <summary>Shows, of charts to choose from, the one chosen; a browser that cannot do so shows all of them.</summary>
    private static string Choices(Comparison comparison)
    {
        var css = new StringBuilder("@supports selector(:has(*)){[id^=\"load-\"]:is(figure),[id^=\"tenant-\"]:is(figure){display:none}");
        for (var policy = 0; policy < comparison.Policies.Length; policy++)
        {
            css.Append(CultureInfo.InvariantCulture, $"section:has(#tenant-policy-{policy}:checked) #tenant-{policy}{{display:block}}");
            for (var model = 0; model < comparison.Scenario.Models.Length; model++)
            {
                css.Append(CultureInfo.InvariantCulture, $"section:has(#load-policy-{policy}:checked):has(#load-model-{model}:checked) #load-{policy}-{model}{{display:block}}");
            }
        }

        return css.Append("}\n").ToString();
    }

    private static void Figure(StringBuilder html, string svg, string? id = null) =>
        html.Append(CultureInfo.InvariantCulture, $"<figure{(id is null ? "" : $" id=\"{id}\"")}>{svg}</figure>\n");

    private static IReadOnlyList<string> Names(Comparison comparison) => [.. comparison.Policies.Select(static policy => policy.Name)];

    private static int Favourite(Comparison comparison) =>
        Math.Max(0, Favourites.Select(name => comparison.Policies.ToList().FindIndex(policy => policy.Name == name)).FirstOrDefault(static index => index >= 0, 0));
}
