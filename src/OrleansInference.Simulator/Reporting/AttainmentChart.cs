namespace OrleansInference.Simulator.Reporting;

/// <summary>Attainment by class and policy against the targets, on an axis on which each further nine is as long as the one before.</summary>
internal static class AttainmentChart
{
    private const double Left = 226;
    private const double Panel = 278;
    private const double Gap = 16;
    private const double Row = 26;
    private const double Top = 58;
    private const double Values = 72;
    private const double Nines = 5;
    private static readonly (double Share, string Label)[] Ticks = [(0, "0"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99"), (1, "100")];

    /// <summary>Dots: filled where the target is met, hollow where it is missed.</summary>
    public static string Draw(Comparison comparison)
    {
        var bottom = Top + (comparison.Policies.Length * Row) + 4;
        var svg = new Svg(CostChart.Width, bottom + 44, "Attainment by class and policy, against the targets");
        for (var i = 0; i < comparison.Policies.Length; i++)
        {
            CostChart.Name(svg, comparison.Policies[i].Name, Top + (i * Row), Left, Row);
        }

        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            Class(svg, comparison, trafficClass, Left + ((int)trafficClass * (Panel + Gap)), bottom);
        }

        svg.Text(Left + (1.5 * Panel) + Gap, bottom + 38, "share of requests answered in time, percent (each further nine takes the same width)", "t middle");
        return svg.ToString();
    }

    private static void Class(Svg svg, Comparison comparison, TrafficClass trafficClass, double left, double bottom)
    {
        double At(double share) => left + 10 + ((Panel - Values - 20) * (share >= 1 ? 1 : Math.Min(Nines - 0.3, -Math.Log10(1 - share)) / Nines));
        var target = comparison.Scenario.Classes[(int)trafficClass].TargetAttainment;
        svg.Text(left + 10, Top - 36, trafficClass.ToString(), "t head");
        foreach (var (share, label) in Ticks)
        {
            svg.Line(At(share), Top - 4, At(share), bottom, "grid");
            svg.Text(At(share), bottom + 16, label, "t middle");
        }

        svg.Line(At(target), Top - 8, At(target), bottom, "target", $"Target of class {trafficClass}: {Numbers.Percent(target)}");
        svg.Text(At(target), Top - 14, $"target {Numbers.Percent(target)}", "t targettext middle halo");
        for (var i = 0; i < comparison.Policies.Length; i++)
        {
            var (name, tally) = (comparison.Policies[i].Name, comparison.Policies[i].Classes[(int)trafficClass]);
            var y = Top + (i * Row) + (Row / 2);
            if (tally.Requests == 0)
            {
                svg.Text(left + 10, y + 4, "no requests");
                continue;
            }

            var isMet = tally.Attainment >= target;
            var x = At(tally.Attainment);
            svg.Line(At(0), y, x, y, "stem");
            svg.Dot(x, y, 5, isMet ? "met" : "missed", $"{name}, class {trafficClass}: {Numbers.Percent(tally.Attainment, 5)} of {Numbers.Count(tally.Requests)} requests, {(isMet ? "meets" : "misses")} the target of {Numbers.Percent(target)}");
            svg.Text(left + Panel - 8, y + 4, Numbers.Attainment(tally.Attainment), isMet ? "t end" : "t end missedtext");
        }
    }
}
