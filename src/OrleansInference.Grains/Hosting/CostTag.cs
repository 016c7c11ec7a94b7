using System.Collections.Immutable;

namespace OrleansInference.Hosting;

/// <summary>Tags by which a bill tells what is for what.</summary>
public static class CostTag
{
    /// <summary>The tag that names the kind of inference, which the router sets itself.</summary>
    public const string InferenceType = "InferenceType";

    private const int MaxTags = 49;
    private const int MaxKey = 128;
    private const int MaxValue = 256;
    private const string Marks = " _.:/=+-@";

    /// <summary>What is tagged if nothing else is said.</summary>
    public static IReadOnlyDictionary<string, string> Default { get; } = ImmutableDictionary<string, string>.Empty.Add("Application", "orleans-inference");

    /// <summary>Reads <c>Key=Value;Key=Value</c>; null if that is no list of tags as AWS takes them, or names one that is not free to be set.</summary>
    public static IReadOnlyDictionary<string, string>? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tags = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var entry in text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = entry.IndexOf('=', StringComparison.Ordinal);
            var (key, value) = equals < 0 ? (entry, "") : (entry[..equals].Trim(), entry[(equals + 1)..].Trim());
            if (equals < 0 || !IsTag(key, 1, MaxKey) || !IsTag(value, 0, MaxValue) || key == InferenceType || key.StartsWith("aws:", StringComparison.OrdinalIgnoreCase) || tags.ContainsKey(key))
            {
                return null;
            }

            tags.Add(key, value);
        }

        return tags.Count <= MaxTags ? tags.ToImmutable() : null;
    }

    private static bool IsTag(string text, int least, int most) =>
        text.Length >= least && text.Length <= most && text.All(static c => char.IsLetterOrDigit(c) || Marks.Contains(c, StringComparison.Ordinal));
}
