using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Tests.Reporting;

public sealed class HtmlReportTests
{
    [Theory]
    [InlineData(1, 2, 0.125)]
    [InlineData(7, 36, 7)]
    [InlineData(12, 60, 30)]
    public void The_page_is_well_formed_and_has_every_section_and_a_chart_of_each_policy(int policies, int tenants, double days)
    {
        var comparison = SampleComparison.Create(policies, tenants, days);

        var page = Parse(HtmlReport.Write(comparison));

        Assert.Equal(
            ["summary", "cost", "attainment", "load", "latency", "lanes", "tenants", "tuning", "again"],
            page.Descendants("section").Select(static section => section.Attribute("id")!.Value));
        Assert.Equal(policies * 3, Figures(page, "load"));
        Assert.Equal(policies, Figures(page, "latency"));
        Assert.Equal(policies, Figures(page, "tenants"));
        Assert.Equal(3, Figures(page, "cost") + Figures(page, "attainment") + Figures(page, "lanes"));
        Assert.All(page.Descendants("svg"), static svg => Assert.NotEmpty(svg.Attribute("aria-label")!.Value));
        var ids = page.Descendants().Attributes("id").Select(static id => id.Value).ToList();
        Assert.Equal(ids.Count, ids.Distinct().Count());
    }

    [Fact]
    public void Every_figure_of_the_summary_is_the_JSON_s()
    {
        var comparison = SampleComparison.Create();
        var page = Parse(HtmlReport.Write(comparison));
        using var json = JsonDocument.Parse(ComparisonJson.Write(comparison));

        var rows = page.Descendants("tr").Where(static row => row.Attribute("data-policy") is not null).ToList();
        var policies = json.RootElement.GetProperty("policies").EnumerateArray().ToList();
        Assert.Equal(policies.Select(static policy => policy.GetProperty("name").GetString()), rows.Select(static row => row.Attribute("data-policy")!.Value));
        foreach (var (row, policy) in rows.Zip(policies))
        {
            var cells = row.Elements("td").Where(static cell => cell.Attribute("data-figure") is not null).ToList();
            Assert.Equal(13, cells.Count);
            foreach (var cell in cells)
            {
                var expected = cell.Attribute("data-figure")!.Value.Split('.').Aggregate(policy, static (at, name) => at.GetProperty(name));
                Assert.Equal(expected.GetDouble(), double.Parse(cell.Attribute("data-value")!.Value, CultureInfo.InvariantCulture));
            }

            Assert.Equal(policy.GetProperty("costUsd").GetRawText(), cells[0].Attribute("data-value")!.Value);
            Assert.Contains(Numbers.Ratio(policy.GetProperty("costUsd").GetDouble() / policy.GetProperty("attainedLowerBoundUsd").GetDouble()), row.Elements("td").Select(static cell => cell.Value));
        }
    }

    [Fact]
    public void Nothing_comes_from_elsewhere_and_there_is_no_script()
    {
        var text = Encoding.UTF8.GetString(HtmlReport.Write(SampleComparison.Create()));
        var page = Parse(Encoding.UTF8.GetBytes(text));

        foreach (var outside in (string[])["http:", "https:", "//", "url(", "@import", "<script", "<link", "<img", "<iframe"])
        {
            Assert.DoesNotContain(outside, text, StringComparison.OrdinalIgnoreCase);
        }

        Assert.DoesNotContain(page.Descendants().Attributes(), static attribute => attribute.Name == "src" || attribute.Name.LocalName.StartsWith("on", StringComparison.Ordinal));
        Assert.All(page.Descendants("a"), static link => Assert.StartsWith("#", link.Attribute("href")!.Value, StringComparison.Ordinal));
    }

    [Fact]
    public void Names_are_escaped_and_read_as_they_were_given()
    {
        var comparison = SampleComparison.Create();

        var page = Parse(HtmlReport.Write(comparison));

        Assert.Equal(comparison.Scenario.Name, page.Descendants("h1").Single().Value);
        Assert.Contains(page.Descendants("title"), title => title.Value.Contains(comparison.Scenario.Tenants[0].Tenant, StringComparison.Ordinal));
    }

    [Fact]
    public void The_same_comparison_gives_the_same_bytes_whatever_the_culture()
    {
        var expected = HtmlReport.Write(SampleComparison.Create());
        var before = CultureInfo.CurrentCulture;
        try
        {
            var commas = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            commas.NumberFormat.NumberDecimalSeparator = ",";
            commas.NumberFormat.NumberGroupSeparator = ".";
            commas.NumberFormat.NegativeSign = "minus";
            CultureInfo.CurrentCulture = commas;

            Assert.Equal(expected, HtmlReport.Write(SampleComparison.Create()));
            Assert.Equal(ComparisonJson.Write(SampleComparison.Create()), ComparisonJson.Write(SampleComparison.Create()));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void A_comparison_without_bound_or_traffic_still_gives_a_page()
    {
        var comparison = SampleComparison.Create(2) with { LowerBound = null };
        var quiet = comparison.Policies[0] with { Cost = Money.Zero, LowerBound = null, Classes = [new(), new(), new()], Lanes = [], TenantCosts = [.. comparison.Policies[0].TenantCosts.Select(static _ => Money.Zero)], Timeline = [[], [], []] };

        var page = Parse(HtmlReport.Write(comparison with { Policies = [quiet] }));

        Assert.Equal(9, page.Descendants("section").Count());
        Assert.DoesNotContain("NaN", page.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("∞", page.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("everything in time:", page.ToString(), StringComparison.Ordinal);
    }

    private static int Figures(XElement page, string section) =>
        page.Descendants("section").Single(each => each.Attribute("id")!.Value == section).Descendants("figure").Count();

    private static XElement Parse(byte[] page) => XDocument.Parse(Encoding.UTF8.GetString(page)).Root!;
}
