using System.Globalization;

namespace OrleansInference.Simulator.Reporting;

/// <summary>Numbers as people read them.</summary>
internal static class Numbers
{
    /// <summary>Dollars, to the cent; amounts below ten to the hundredth of a cent.</summary>
    public static string Dollars(Money money) => Dollars((double)money.ToDollars());

    /// <summary>Dollars, to the cent; amounts below ten to the hundredth of a cent.</summary>
    public static string Dollars(double dollars) => "$" + dollars.ToString(Math.Abs(dollars) is > 0 and < 10 ? "0.0000" : "#,##0.00", CultureInfo.InvariantCulture);

    /// <summary>A count with separators.</summary>
    public static string Count(double count) => count.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A multiple, such as 0.58×; a dash if there is none.</summary>
    public static string Ratio(double? ratio) => ratio is { } value ? value.ToString("0.000", CultureInfo.InvariantCulture) + "×" : "–";

    /// <summary>A share in percent. It is cut rather than rounded, so that none looks as if it met a target that it missed.</summary>
    public static string Percent(double share, int decimals = 3)
    {
        var unit = Math.Pow(10, decimals);
        // One part in 10¹² makes up for shares such as 0.99, which no binary fraction is.
        var cut = Math.Floor((share * 100 * unit) + 1e-9) / unit;
        return cut.ToString("0." + new string('#', decimals), CultureInfo.InvariantCulture) + " %";
    }

    /// <summary>An attainment in percent, cut like <see cref="Percent"/>, with as many decimals for each so that they can be compared at a glance.</summary>
    public static string Attainment(double share) =>
        share >= 1 ? "100 %" : (Math.Floor((share * 100_000) + 1e-9) / 1000).ToString("0.000", CultureInfo.InvariantCulture) + " %";

    /// <summary>A duration in the unit that suits it.</summary>
    public static string Duration(double seconds) => seconds switch
    {
        < 1 => Number(seconds * 1000, "0") + " ms",
        < 10 => Number(seconds, "0.00") + " s",
        < 120 => Number(seconds, "0.0") + " s",
        < 7200 => Number(seconds / 60, "0.0") + " min",
        < 172_800 => Number(seconds / 3600, "0.0") + " h",
        _ => Number(seconds / 86_400, "0.0") + " d",
    };

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
