using System.Buffers;
using System.Text;

namespace OrleansInference.FrontDoor;

/// <summary>
/// The value of <c>X-Amzn-SageMaker-Custom-Attributes</c>, in which the SageMaker dialect carries what <c>/v1</c> has headers for:
/// <c>name=value</c> pairs, separated by semicolons. What is not ours goes on to the model as it came.
/// </summary>
internal static class CustomAttributes
{
    public const string Header = "X-Amzn-SageMaker-Custom-Attributes";
    public const int MaxLength = 1024;

    /// <summary>Printable ASCII, SageMaker's rule.</summary>
    private static readonly SearchValues<char> Allowed = SearchValues.Create([.. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c)]);

    /// <summary>Whether text may be sent as the header's value.</summary>
    public static bool IsValid(ReadOnlySpan<char> text) => text.Length <= MaxLength && !text.ContainsAnyExcept(Allowed);

    /// <summary>Takes our pairs out of the value.</summary>
    /// <param name="text">The header's value.</param>
    /// <param name="ours">Receives our pairs, by lower-case name.</param>
    /// <returns>What is left for the model; null if nothing is.</returns>
    public static string? Take(string text, Dictionary<string, string> ours)
    {
        var rest = new StringBuilder();
        foreach (var range in text.AsSpan().Split(';'))
        {
            var part = text.AsSpan()[range].Trim();
            var equals = part.IndexOf('=');
            var name = equals < 0 ? "" : part[..equals].Trim().ToString().ToLowerInvariant();
            if (RoutingFields.Names.Contains(name))
            {
                ours[name] = part[(equals + 1)..].Trim().ToString();
            }
            else if (!part.IsEmpty)
            {
                rest.Append(rest.Length == 0 ? "" : ";").Append(part);
            }
        }

        return rest.Length == 0 ? null : rest.ToString();
    }

    /// <summary>The answer's value: the model's own pairs, then the route that was taken. The model's are left out if both do not fit.</summary>
    public static string Answer(string? model, RouteTaken route, bool chargeIsFinal)
    {
        var ours = $"lane={route.Lane};endpoint={route.Endpoint};variant={route.Variant};"
            + (chargeIsFinal ? $"charge={route.Charge};" : $"charge-cap={route.ChargeCap};") + $"decision-id={route.DecisionId}";
        return string.IsNullOrEmpty(model) || !IsValid(model) || model.Length + 1 + ours.Length > MaxLength ? ours : $"{model};{ours}";
    }
}
