namespace OrleansInference.Aws.Signing;

/// <summary>The parts of an HTTP request that a signature covers, as they are on the wire.</summary>
/// <param name="Method">The method, in capitals.</param>
/// <param name="Path">The path as sent: still percent-encoded, not normalised, beginning with <c>/</c>.</param>
/// <param name="Query">The query string as sent, with or without its <c>?</c>; empty if there is none.</param>
/// <param name="Headers">
/// Every header, <c>Host</c> included. A header sent on several lines is several entries in that order, or one whose values
/// are joined with commas.
/// </param>
public readonly record struct SignedRequest(
    string Method,
    string Path,
    string Query,
    IReadOnlyList<KeyValuePair<string, string>> Headers)
{
    /// <summary>Splits a request target as sent (<c>/path?query</c>) into path and query.</summary>
    /// <param name="method">The method, in capitals.</param>
    /// <param name="target">The raw request target.</param>
    /// <param name="headers">Every header, <c>Host</c> included.</param>
    public static SignedRequest FromTarget(string method, string target, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        ArgumentNullException.ThrowIfNull(target);
        var mark = target.IndexOf('?', StringComparison.Ordinal);
        return mark < 0 ? new(method, target, "", headers) : new(method, target[..mark], target[(mark + 1)..], headers);
    }

    /// <summary>The first value of a header, or null.</summary>
    internal string? Header(ReadOnlySpan<char> name)
    {
        for (var i = 0; i < Headers.Count; i++)
        {
            if (name.Equals(Headers[i].Key, StringComparison.OrdinalIgnoreCase))
            {
                return Headers[i].Value;
            }
        }

        return null;
    }
}
