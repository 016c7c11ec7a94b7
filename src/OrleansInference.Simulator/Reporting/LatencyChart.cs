using System.Text;
using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Distributions of the times to an answer under one policy, a line a class.</summary>
internal static class LatencyChart
{
    private const double Width = 360;
    private const double Left = 42;
    private const double Right = Width - 14;
    private const double Top = 30;
    private const double Bottom = 210;
    private const int Points = 200;
    private static readonly (double Seconds, string Label)[] Ticks =
        [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36_000, "10 h"), (360_000, "100 h")];

    // Where on its line each class has its name: at heights so far apart that the names keep clear of one another.
    private static readonly double[] NamedAt = [0.82, 0.5, 0.2];

    /// <summary>The chart of a policy, on the axis that all policies share.</summary>
    public static string Draw(Comparison comparison, PolicyResult policy)
    {
        var (least, most) = Range(comparison);
        double X(double seconds) => Left + ((Right - Left) * Math.Clamp(Math.Log(seconds / least) / Math.Log(most / least), 0, 1));
        static double Y(double share) => Bottom + ((Top - Bottom) * share);
        var svg = new Svg(Width, Bottom + 42, $"Distribution of the times to an answer under {policy.Name}, by class");
        svg.Text(Left, 16, policy.Name, "t head");
        foreach (var share in (double[])[0, 0.25, 0.5, 0.75, 1])
        {
            svg.Line(Left, Y(share), Right, Y(share), "grid");
            svg.Text(Left - 6, Y(share) + 4, Numbers.Percent(share, 0), "t small end");
        }

        foreach (var (seconds, label) in Ticks.Where(tick => tick.Seconds >= least * 0.99 && tick.Seconds <= most * 1.01))
        {
            svg.Line(X(seconds), Top, X(seconds), Bottom, "grid");
            svg.Text(X(seconds), Bottom + 15, label, "t small middle");
        }

        svg.Text((Left + Right) / 2, Bottom + 34, "time from arrival to answer", "t small middle");
        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            var tally = policy.Classes[(int)trafficClass];
            if (tally.Latency.Count > 0)
            {
                var title = $"{policy.Name}, class {trafficClass}: p50 {Numbers.Duration(tally.LatencySeconds(0.5))}, p90 {Numbers.Duration(tally.LatencySeconds(0.9))}, p99 {Numbers.Duration(tally.LatencySeconds(0.99))}, p99.9 {Numbers.Duration(tally.LatencySeconds(0.999))}";
                svg.Path(Path(tally, X, Y), $"class{(int)trafficClass}", title);
            }
        }

        foreach (var trafficClass in Enum.GetValues<TrafficClass>())
        {
            var tally = policy.Classes[(int)trafficClass];
            if (tally.Latency.Count > 0)
            {
                var at = NamedAt[(int)trafficClass];
                var x = X(tally.LatencySeconds(at));
                var fits = x < Right - 60;
                svg.Text(fits ? x + 6 : x - 6, Y(at) + 4, trafficClass.ToString(), $"t halo classtext{(int)trafficClass}{(fits ? "" : " end")}");
            }
        }

        return svg.ToString();
    }

    private static string Path(ClassTally tally, Func<double, double> x, Func<double, double> y)
    {
        var path = new StringBuilder();
        var last = "";
        for (var i = 0; i <= Points; i++)
        {
            var share = (double)i / Points;
            var point = $"{Svg.At(x(tally.LatencySeconds(share)))},{Svg.At(y(share))}";
            if (point != last)
            {
                path.Append(path.Length == 0 ? 'M' : 'L').Append(point);
                last = point;
            }
        }

        return path.ToString();
    }

    private static (double Least, double Most) Range(Comparison comparison)
    {
        var all = comparison.Policies.SelectMany(static policy => policy.Classes).Where(static tally => tally.Latency.Count > 0).ToList();
        if (all.Count == 0)
        {
            return (0.1, 10);
        }

        // A thousandth of the answers may be quicker than the axis begins: a few very short ones would leave half of it empty.
        var least = all.Min(static tally => tally.LatencySeconds(0.001));
        var most = Math.Max(least * 10, all.Max(static tally => tally.LatencySeconds(1)));
        return (Math.Pow(10, Math.Floor(Math.Log10(least))), most);
    }
}
