using System.Globalization;

namespace OrleansInference.FrontDoor;

/// <summary>Spans of time as callers write them.</summary>
internal static class DurationText
{
    /// <summary>The rule in words.</summary>
    public const string Description = "a positive number of seconds such as 1.5, or a number with a unit: 500ms, 2s, 5m, 24h; at most 366 days";

    private static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    public static bool TryParse(ReadOnlySpan<char> text, out TimeSpan span)
    {
        span = default;
        text = text.Trim();
        var (unit, milliseconds) = text switch
        {
            [.., 'm', 's'] => (2, 1.0),
            [.., 's'] => (1, 1_000.0),
            [.., 'm'] => (1, 60_000.0),
            [.., 'h'] => (1, 3_600_000.0),
            _ => (0, 1_000.0),
        };
        var digits = text[..^unit];
        if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            || !(number * milliseconds >= 1 && number * milliseconds <= Longest.TotalMilliseconds))
        {
            return false;
        }

        span = TimeSpan.FromMilliseconds(number * milliseconds);
        return true;
    }
}
