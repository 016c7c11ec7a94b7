using System.Globalization;

namespace OrleansInference.FrontDoor;

/// <summary>The <c>Prefer</c> header (RFC 7240).</summary>
internal static class Preferences
{
    /// <summary>Whether the caller takes a job instead of an answer.</summary>
    public static bool RespondAsync(HttpRequest request) => Find(request, "respond-async") is not null;

    /// <summary>How long the caller would wait; zero if it does not say.</summary>
    /// <param name="request">The request.</param>
    /// <param name="longest">The most that is granted.</param>
    public static TimeSpan Wait(HttpRequest request, TimeSpan longest)
    {
        if (Find(request, "wait") is not { } text)
        {
            return TimeSpan.Zero;
        }

        // Not a number and infinities are parsed too, whatever the style.
        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds >= 0
            ? TimeSpan.FromSeconds(Math.Min(seconds, longest.TotalSeconds))
            : throw new RefusedException(Refusal.Invalid($"Prefer: 'wait={text}' is not a number of seconds, such as wait=10."));
    }

    private static string? Find(HttpRequest request, string preference)
    {
        if (!request.Headers.TryGetValue("Prefer", out var values))
        {
            return null;
        }

        foreach (var line in values)
        {
            foreach (var part in (line ?? "").Split(',', ';'))
            {
                var equals = part.IndexOf('=', StringComparison.Ordinal);
                var name = (equals < 0 ? part : part[..equals]).Trim();
                if (name.Equals(preference, StringComparison.OrdinalIgnoreCase))
                {
                    return equals < 0 ? "" : part[(equals + 1)..].Trim(' ', '"');
                }
            }
        }

        return null;
    }
}
