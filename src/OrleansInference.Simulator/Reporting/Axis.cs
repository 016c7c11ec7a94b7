using System.Globalization;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Places of values along a line, and which of them are labelled.</summary>
/// <param name="Most">The largest value, greater than 0; the least is 0.</param>
/// <param name="From">Where 0 is.</param>
/// <param name="To">Where <paramref name="Most"/> is.</param>
internal readonly record struct Axis(double Most, double From, double To)
{
    /// <summary>An axis for values up to a largest one, however small.</summary>
    public static Axis Of(double most, double from, double to) => new(most > 0 ? most : 1, from, to);

    /// <summary>Where a value is.</summary>
    public double At(double value) => From + ((To - From) * value / Most);

    /// <summary>Round values from 0 on, about as many as asked for.</summary>
    public IEnumerable<double> Ticks(int about)
    {
        var step = Step(Most / about);
        var most = Most;
        return Enumerable.Range(0, (int)Math.Floor(most / step * (1 + 1e-9)) + 1).Select(i => i * step);
    }

    /// <summary>The label of a round value.</summary>
    public static string Label(double value) => value.ToString(value is > 0 and < 1 ? "0.####" : "#,##0.##", CultureInfo.InvariantCulture);

    private static double Step(double least)
    {
        var unit = Math.Pow(10, Math.Floor(Math.Log10(least)));
        return unit * ((least / unit) switch
        {
            <= 1 => 1,
            <= 2 => 2,
            <= 5 => 5,
            _ => 10,
        });
    }
}
