using System.Collections.Frozen;
using OrleansInference.Configuration;

namespace OrleansInference.FrontDoor;

/// <summary>The <c>X-Inference-…</c> headers of requests. One that nobody knows is refused: it would be a wish without effect.</summary>
internal static class RequestHeaders
{
    public const string InferenceId = Prefix + "Id";
    private const string Prefix = "X-Inference-";

    private static readonly FrozenDictionary<string, string> ByField = RoutingFields.Names.ToFrozenDictionary(static field => field, NameOf, StringComparer.Ordinal);

    private static readonly string[] Known =
    [
        .. RoutingFields.Names.Where(static field => field != RoutingFields.IdempotencyKey).Select(Of).Append(InferenceId).Append(Caller.TenantHeader).Order(StringComparer.Ordinal),
    ];

    // Answers carry these; a caller or proxy that hands on what it was answered wishes nothing. X-Inference-Lane is not
    // among them: in a request X-Inference-Lanes is meant.
    private static readonly HashSet<string> OfAnswers = new(
        ["X-Inference-Decision-Id", "X-Inference-Endpoint", "X-Inference-Variant", "X-Inference-Charge", "X-Inference-Charge-Cap", "X-Inference-Job-Id", "X-Inference-Batch-Id", "X-Inference-Idempotent-Replay"],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>The header of a field: <c>min-quality</c> is <c>X-Inference-Min-Quality</c>.</summary>
    public static string Of(string field) => ByField[field];

    /// <summary>Adds a problem for each header of ours that does not exist.</summary>
    public static void FindUnknown(HttpRequest request, ICollection<string> problems)
    {
        foreach (var (name, _) in request.Headers)
        {
            if (name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) && !Known.Contains(name, StringComparer.OrdinalIgnoreCase) && !OfAnswers.Contains(name))
            {
                problems.Add(RefusalWriter.SpeaksSageMaker(request)
                    ? $"{name}: there is no such header. In SageMaker's dialect the router takes pairs in {CustomAttributes.Header}: {string.Join(", ", RoutingFields.Names.Order(StringComparer.Ordinal))}."
                    : $"{name}: there is no such header. {(NearestName.Of(name, Known) is { } near ? $"'{near}' may be meant; known" : "Known")} are {string.Join(", ", Known)}.");
            }
        }
    }

    /// <summary>Refuses a request with headers of ours that do not exist.</summary>
    public static void RequireKnown(HttpRequest request)
    {
        var problems = new List<string>();
        FindUnknown(request, problems);
        Refusal.Require(problems);
    }

    private static string NameOf(string field) => field == RoutingFields.IdempotencyKey
        ? "Idempotency-Key"
        : Prefix + string.Join('-', field.Split('-').Select(static word => char.ToUpperInvariant(word[0]) + word[1..]));
}
