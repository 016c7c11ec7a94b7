using System.Globalization;

namespace OrleansInference.Tests.Capacity;

/// <summary>Requests to staff for: when each arrives and how long it takes, in milliseconds, in order of arrival.</summary>
internal static class CapacityTraffic
{
    private const double HourMs = 3_600_000;
    private const double DayMs = 24 * HourMs;

    /// <summary>The bundled Azure LLM trace, its service times by its tokens; a rate above 1 lays it over itself, shifted, and one below leaves requests out.</summary>
    public static List<(long At, long ServiceMs)> Azure(string trace, double rate, int seed)
    {
        var random = new Random(seed);
        var rows = new List<(DateTime At, long ServiceMs)>();
        foreach (var line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "traces", trace + ".csv")).Skip(1))
        {
            var fields = line.Split(',');
            var (input, output) = (int.Parse(fields[1], CultureInfo.InvariantCulture), int.Parse(fields[2], CultureInfo.InvariantCulture));
            rows.Add((DateTime.Parse(fields[0], CultureInfo.InvariantCulture), (long)(1000 * (0.05 + (input / 8_000.0) + (output / 60.0)))));
        }

        var length = (long)(rows[^1].At - rows[0].At).TotalMilliseconds;
        var copies = (int)Math.Max(1, rate);
        var shift = random.NextInt64(length);
        return [.. rows
            .Where(_ => rate >= 1 || random.NextDouble() < rate)
            .SelectMany(row => Enumerable.Range(0, copies).Select(i => (At: ((long)(row.At - rows[0].At).TotalMilliseconds + (i == 0 ? 0 : shift + (i * length / copies))) % length, row.ServiceMs)))
            .OrderBy(static request => request.At)];
    }

    /// <summary>Poisson arrivals.</summary>
    public static List<(long At, long ServiceMs)> Steady(double perSecond, double hours, int seed) => Varying(_ => perSecond, perSecond, hours * HourMs, seed);

    /// <summary>Bursts and lulls that last up to four minutes each, at random.</summary>
    public static List<(long At, long ServiceMs)> Bursts(double perSecond, double hours, int seed)
    {
        var random = new Random(seed);
        var (until, now) = (0.0, 0.0);
        return Varying(
            at =>
            {
                while (at >= until)
                {
                    until += random.NextDouble() * 240_000;
                    now = perSecond * (random.Next(2) == 0 ? 0.3 : 1.7);
                }

                return now;
            },
            1.7 * perSecond,
            hours * HourMs,
            seed);
    }

    /// <summary>Days that swell and ebb.</summary>
    public static List<(long At, long ServiceMs)> Days(double perSecond, double days, int seed) =>
        Varying(at => perSecond * (1.05 - Math.Cos(at / DayMs * 2 * Math.PI)), 2.05 * perSecond, days * DayMs, seed);

    /// <summary>Office hours, and next to nothing outside them.</summary>
    public static List<(long At, long ServiceMs)> Office(double perSecond, double days, int seed) =>
        Varying(at => at % DayMs is > 9 * HourMs and < 17 * HourMs ? perSecond : 0.05 * perSecond, perSecond, days * DayMs, seed);

    private static List<(long At, long ServiceMs)> Varying(Func<double, double> perSecond, double most, double lengthMs, int seed)
    {
        var random = new Random(seed);
        var requests = new List<(long At, long ServiceMs)>();
        for (var at = 0.0; at < lengthMs;)
        {
            at -= Math.Log(1 - random.NextDouble()) * 1000 / most;
            if (random.NextDouble() * most < perSecond(at))
            {
                requests.Add(((long)at, (long)(-3_000 * Math.Log(1 - random.NextDouble())) + 1));
            }
        }

        return requests;
    }
}
