namespace OrleansInference.Simulator.Reporting;

/// <summary>Cost by policy, whole and by lane.</summary>
internal static class CostChart
{
    /// <summary>The width of what spans the page.</summary>
    public const double Width = 1100;

    private const double Left = 226;
    private const double Right = Width - 330;
    private const double Row = 30;
    private const double Top = 46;

    /// <summary>Bars of the whole cost, with the lower bound as a line.</summary>
    public static string Whole(Comparison comparison)
    {
        var (svg, axis, bottom) = Begin(comparison, "Cost by policy, in dollars");
        for (var i = 0; i < comparison.Policies.Length; i++)
        {
            var policy = comparison.Policies[i];
            var y = Top + (i * Row);
            Name(svg, policy.Name, y);
            svg.Box(Left, y + 5, axis.At(Dollars(policy.Cost)) - Left, Row - 10, "bar", $"{policy.Name}: {Numbers.Dollars(policy.Cost)}");
            var ratios = new List<string> { Numbers.Dollars(policy.Cost) };
            if (Comparison.ToLowerBound(policy) is { } toBound)
            {
                ratios.Add($"{Numbers.Ratio(toBound)} bound");
            }

            if (policy.Name != Comparison.Yardstick && comparison.ToYardstick(policy.Cost) is { } toYardstick)
            {
                ratios.Add($"{Numbers.Ratio(toYardstick)} {Comparison.Yardstick}");
            }

            svg.Text(axis.At(Dollars(policy.Cost)) + 8, y + (Row / 2) + 4, string.Join("  ·  ", ratios), "t halo");
        }

        if (comparison.LowerBound is { } bound)
        {
            var x = axis.At(Dollars(bound));
            svg.Line(x, Top - 6, x, bottom, "bound", $"Lower bound for everything in time: {Numbers.Dollars(bound)}");
            svg.Text(x, Top - 12, $"lower bound, everything in time: {Numbers.Dollars(bound)}", "t boundtext middle halo");
        }

        return svg.ToString();
    }

    /// <summary>The same bars, made up of what each lane cost.</summary>
    public static string ByLane(Comparison comparison)
    {
        var (svg, axis, _) = Begin(comparison, "Cost by policy and lane, in dollars");
        var x = Left;
        foreach (var lane in Enum.GetValues<Lane>())
        {
            svg.Box(x, Top - 30, 12, 12, Style(lane));
            svg.Text(x + 18, Top - 20, lane.ToString());
            x += 110;
        }

        for (var i = 0; i < comparison.Policies.Length; i++)
        {
            var policy = comparison.Policies[i];
            var y = Top + (i * Row);
            Name(svg, policy.Name, y);
            double before = 0;
            foreach (var (lane, cost, served) in policy.Lanes.Where(static lane => lane.Cost > Money.Zero))
            {
                var (from, to) = (axis.At(before), axis.At(before + Dollars(cost)));
                before += Dollars(cost);
                var share = (double)cost.Nanos / policy.Cost.Nanos;
                svg.Box(from, y + 5, to - from, Row - 10, Style(lane), $"{policy.Name}, {lane}: {Numbers.Dollars(cost)}, {Numbers.Percent(share, 1)} of its cost, {Numbers.Count(served)} requests");
                if (to - from > 52)
                {
                    svg.Text((from + to) / 2, y + (Row / 2) + 4, Numbers.Percent(share, 1), $"t middle on{Style(lane)}");
                }
            }

            svg.Text(axis.At(before) + 8, y + (Row / 2) + 4, Numbers.Dollars(policy.Cost));
        }

        return svg.ToString();
    }

    /// <summary>A name before a row of a chart, cut if it is too long for that.</summary>
    public static void Name(Svg svg, string name, double y, double right = Left, double row = Row)
    {
        const double PerLetter = 6.9;
        var most = (int)((right - 14) / PerLetter);
        svg.Text(right - 10, y + (row / 2) + 4, name.Length > most ? name[..(most - 1)] + "…" : name, "t name end", name);
    }

    /// <summary>Dollars, for drawing.</summary>
    public static double Dollars(Money money) => (double)money.ToDollars();

    private static string Style(Lane lane) => "lane" + (int)lane;

    private static (Svg Svg, Axis Axis, double Bottom) Begin(Comparison comparison, string label)
    {
        var bottom = Top + (comparison.Policies.Length * Row) + 4;
        var axis = Axis.Of(comparison.Policies.Select(static policy => Dollars(policy.Cost)).Append(Dollars(comparison.LowerBound ?? Money.Zero)).Max(), Left, Right);
        var svg = new Svg(Width, bottom + 44, label);
        foreach (var tick in axis.Ticks(6))
        {
            svg.Line(axis.At(tick), Top - 2, axis.At(tick), bottom, "grid");
            svg.Text(axis.At(tick), bottom + 16, "$" + Axis.Label(tick), "t middle");
        }

        svg.Text((Left + Right) / 2, bottom + 36, "cost of the whole run, US dollars", "t middle");
        return (svg, axis, bottom);
    }
}
