using System.Globalization;

namespace OrleansInference.Simulator.Advice;

/// <summary>Sentences with numbers in them, written alike everywhere.</summary>
internal static class Words
{
    /// <summary>The sentence.</summary>
    public static string Of(FormattableString sentence) => sentence.ToString(CultureInfo.InvariantCulture);

    /// <summary>Names in a row; those beyond the first few are counted.</summary>
    public static string List(IReadOnlyList<string> names, int most = 4) =>
        names.Count <= most ? string.Join(", ", names) : Of($"{string.Join(", ", names.Take(most))} and {names.Count - most} more");
}
