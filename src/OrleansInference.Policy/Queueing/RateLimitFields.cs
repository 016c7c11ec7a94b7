using System.Globalization;

namespace OrleansInference.Queueing;

/// <summary>What is left of a limit, as it is told to a caller.</summary>
/// <param name="Limit">The most requests at once; 0 if not known yet.</param>
/// <param name="Remaining">Requests that are admitted for certain if they come now: what this silo has of them.</param>
/// <param name="ResetMs">In how many milliseconds that is as much as it can be here.</param>
/// <param name="RetryAfterMs">In how many milliseconds one more is admitted; 0 if it is now, or if nobody knows.</param>
public readonly record struct RateQuota(int Limit, long Remaining, long ResetMs, long RetryAfterMs);

/// <summary>
/// The values of the fields <c>RateLimit-Policy</c> and <c>RateLimit</c> (draft-ietf-httpapi-ratelimit-headers, as since revision 8): lists of structured fields
/// (RFC 9651), a policy's name with its parameters. Several policies are joined by commas.
/// </summary>
public static class RateLimitFields
{
    /// <summary>The field that tells the limits.</summary>
    public const string PolicyName = "RateLimit-Policy";

    /// <summary>The field that tells what is left of them.</summary>
    public const string LimitName = "RateLimit";

    /// <summary>A rate: the burst, and the seconds in which it comes back whole.</summary>
    /// <param name="name">The policy's name, of letters, digits and hyphens.</param>
    /// <param name="perSecond">Requests per second, greater than 0.</param>
    /// <param name="burst">The most requests at once, at least 1.</param>
    /// <exception cref="ArgumentException">The name has other characters.</exception>
    public static string Policy(string name, double perSecond, int burst) =>
        string.Create(CultureInfo.InvariantCulture, $"{Quoted(name)};q={burst};w={Math.Clamp((long)Math.Ceiling(burst / perSecond), 1, int.MaxValue)}");

    /// <summary>A cap on requests in flight.</summary>
    /// <param name="name">The policy's name, of letters, digits and hyphens.</param>
    /// <param name="inFlight">The most in flight, at least 1.</param>
    /// <exception cref="ArgumentException">The name has other characters.</exception>
    public static string ConcurrencyPolicy(string name, int inFlight) =>
        string.Create(CultureInfo.InvariantCulture, $"{Quoted(name)};q={inFlight};qu=\"concurrent-requests\"");

    /// <summary>What is left.</summary>
    /// <param name="name">The policy's name, of letters, digits and hyphens.</param>
    /// <param name="remaining">Requests that may come now, 0 or more.</param>
    /// <param name="resetMs">In how many milliseconds more may; null if that has no time, as for requests in flight.</param>
    /// <exception cref="ArgumentException">The name has other characters.</exception>
    public static string Limit(string name, long remaining, long? resetMs) => resetMs is { } reset
        ? string.Create(CultureInfo.InvariantCulture, $"{Quoted(name)};r={Math.Max(0, remaining)};t={Seconds(reset)}")
        : string.Create(CultureInfo.InvariantCulture, $"{Quoted(name)};r={Math.Max(0, remaining)}");

    /// <summary>Whole seconds for <c>Retry-After</c> and <c>t</c>, never too few.</summary>
    public static long Seconds(long milliseconds) => Math.Max(0, (milliseconds / 1000) + (milliseconds % 1000 > 0 ? 1 : 0));

    private static string Quoted(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '-')
            {
                throw new ArgumentException($"'{name}' cannot name a policy: only letters, digits and hyphens can.", nameof(name));
            }
        }

        return $"\"{name}\"";
    }
}
