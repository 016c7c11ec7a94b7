using System.Globalization;
using System.Text;
using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Load, capacity and queue of a model over time under a policy.</summary>
internal static class LoadChart
{
    private const double Left = 70;
    private const double Right = CostChart.Width - 20;
    private const double Top = 34;
    private const double LoadBottom = 264;
    private const double QueueTop = 304;
    private const double QueueBottom = 394;
    private const int MostPoints = 1200;
    private const int MostBands = 84;
    private const double StepSeconds = Timeline.StepUs / 1e6;

    /// <summary>The chart of a policy and model, on the axes that the model's charts share, so that policies can be told apart by eye.</summary>
    public static string Draw(Comparison comparison, int policy, int model)
    {
        var points = comparison.Policies[policy].Timeline[model];
        var (name, modelName) = (comparison.Policies[policy].Name, comparison.Scenario.Models[model].Model);
        var svg = new Svg(CostChart.Width, QueueBottom + 48, $"Load, capacity and queue of {modelName} under {name}");
        var end = Math.Max(StepSeconds, comparison.Policies.Max(each => each.Timeline[model].Length) * StepSeconds);
        var time = new Axis(end, Left, Right);
        var load = Axis.Of(comparison.Policies.SelectMany(each => each.Timeline[model]).Select(static point => (double)Math.Max(point.Slots, point.InUse)).DefaultIfEmpty().Max(), LoadBottom, Top);
        var queue = Axis.Of(Math.Max(1, points.Select(static point => (double)point.Waiting).DefaultIfEmpty().Max()), QueueBottom, QueueTop);
        Ground(svg, load, LoadBottom, 5, "slots");
        Ground(svg, queue, QueueBottom, 2, "requests");
        Times(svg, time, end);

        var every = Math.Max(1, (points.Length + MostPoints - 1) / MostPoints);
        svg.Path(Area(points, every, time, load, LoadBottom, static point => point.InUse), "used");
        svg.Path(Line(points, every, time, load, static point => point.Slots), "capacity");
        svg.Path(Area(points, every, time, queue, QueueBottom, static point => point.Waiting), "queue");
        svg.Line(Left, Top - 16, Left + 22, Top - 16, "capacity");
        svg.Text(Left + 28, Top - 12, "capacity: slots in service");
        svg.Box(Left + 200, Top - 22, 22, 11, "used");
        svg.Text(Left + 228, Top - 12, "load: slots in use");
        svg.Box(Left, QueueTop - 22, 22, 11, "queue");
        svg.Text(Left + 28, QueueTop - 12, $"queue: requests that wait, at most {Numbers.Count(points.Select(static point => point.Waiting).DefaultIfEmpty().Max())}");
        Bands(svg, points, time);
        return svg.ToString();
    }

    private static void Ground(Svg svg, Axis axis, double bottom, int ticks, string unit)
    {
        foreach (var tick in axis.Ticks(ticks).Where(static tick => tick % 1 == 0))
        {
            svg.Line(Left, axis.At(tick), Right, axis.At(tick), "grid");
            svg.Text(Left - 8, axis.At(tick) + 4, Axis.Label(tick), "t end");
        }

        svg.Line(Left, bottom, Right, bottom, "axis");
        svg.Text(Left - 8, axis.To - 10, unit, "t end");
    }

    private static void Times(Svg svg, Axis time, double end)
    {
        const double Hour = 3600;
        const double Day = 24 * Hour;
        const int Most = 12;
        double[] steps = [Hour / 6, Hour / 2, Hour, 2 * Hour, 3 * Hour, 6 * Hour, 12 * Hour, Day, 2 * Day, 7 * Day, 28 * Day, 364 * Day];
        var step = steps.First(each => end / each <= Most || each == steps[^1]);
        for (var at = 0.0; at <= end; at += step)
        {
            svg.Line(time.At(at), Top, time.At(at), LoadBottom, "grid");
            svg.Line(time.At(at), QueueTop, time.At(at), QueueBottom, "grid");
            var label = step >= Day ? $"day {(at / Day) + 1:0}" : step < Hour ? $"{at / 60:0}" : $"{at / Hour:0}";
            svg.Text(time.At(at), QueueBottom + 16, label, "t middle");
        }

        svg.Text((Left + Right) / 2, QueueBottom + 38, step >= Day ? "time, by the beginning of each day" : step < Hour ? "time, minutes from the beginning" : "time, hours from the beginning", "t middle");
    }

    private static string Area(IReadOnlyList<LoadPoint> points, int every, Axis time, Axis axis, double bottom, Func<LoadPoint, int> value) =>
        points.Count == 0 ? "" : $"M{Svg.At(Left)},{Svg.At(bottom)}{Line(points, every, time, axis, value).Replace('M', 'L')}V{Svg.At(bottom)}Z";

    /// <summary>A line through the largest of each few points; of several that are alike only the first and the last are drawn.</summary>
    private static string Line(IReadOnlyList<LoadPoint> points, int every, Axis time, Axis axis, Func<LoadPoint, int> value)
    {
        var path = new StringBuilder();
        var (last, skipped) = ("", "");
        for (var i = 0; i < points.Count; i += every)
        {
            var most = 0;
            for (var j = i; j < Math.Min(i + every, points.Count); j++)
            {
                most = Math.Max(most, value(points[j]));
            }

            var x = Svg.At(time.At((i + 1) * StepSeconds));
            var y = Svg.At(axis.At(most));
            if (y == last)
            {
                skipped = x;
                continue;
            }

            if (skipped.Length > 0)
            {
                path.Append('H').Append(skipped);
                skipped = "";
            }

            path.Append(path.Length == 0 ? 'M' : 'L').Append(x).Append(',').Append(y);
            last = y;
        }

        return skipped.Length > 0 ? path.Append('H').Append(skipped).ToString() : path.ToString();
    }

    private static void Bands(Svg svg, IReadOnlyList<LoadPoint> points, Axis time)
    {
        var every = Math.Max(1, (points.Count + MostBands - 1) / MostBands);
        for (var from = 0; from < points.Count; from += every)
        {
            var to = Math.Min(from + every, points.Count);
            double slots = 0, inUse = 0, waiting = 0;
            for (var i = from; i < to; i++)
            {
                slots += points[i].Slots;
                inUse += points[i].InUse;
                waiting = Math.Max(waiting, points[i].Waiting);
            }

            var (x, width) = (time.At(from * StepSeconds), time.At(to * StepSeconds) - time.At(from * StepSeconds));
            svg.Box(x, Top, width, QueueBottom - Top, "band", string.Create(
                CultureInfo.InvariantCulture,
                $"{Clock(from)} to {Clock(to)}: {slots / (to - from):0.#} slots in service and {inUse / (to - from):0.#} in use on average, at most {waiting:0} waiting"));
        }
    }

    private static string Clock(int step)
    {
        var time = TimeSpan.FromSeconds(step * StepSeconds);
        return string.Create(CultureInfo.InvariantCulture, $"day {time.Days + 1} {time:hh\\:mm}");
    }
}
