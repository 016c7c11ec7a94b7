using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>Reads what a running cluster tells of its endpoints: the views of <c>GET /v1/endpoints/{name}</c>, one or an array of them.</summary>
internal static class ClusterStatistics
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web) { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>Reads a file.</summary>
    /// <exception cref="ScenarioException">It is none such.</exception>
    public static IReadOnlyList<EndpointView> Read(string file)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            var views = new List<EndpointView>();
            var isList = document.RootElement.ValueKind == JsonValueKind.Array;
            foreach (var (index, element) in (isList ? document.RootElement.EnumerateArray() : Enumerable.Repeat(document.RootElement, 1)).Index())
            {
                views.Add(View(file, isList ? Words.Of($"$[{index}]") : "$", element));
            }

            return views.Count > 0 ? views : throw new ScenarioException(file, "$", "has no endpoint; save at least one view of GET /v1/endpoints/{name} in it.");
        }
        catch (JsonException wrong)
        {
            throw new ScenarioException(file, Words.Of($"line {wrong.LineNumber + 1}"), $"is not JSON: {wrong.Message}", wrong);
        }
        catch (Exception wrong) when (wrong is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ScenarioException(file, "", $"cannot be read: {wrong.Message}", wrong);
        }
    }

    private static EndpointView View(string file, string where, JsonElement element)
    {
        try
        {
            return element.Deserialize<EndpointView>(Options) is { Configuration.Endpoint: not null, Status: not null } view
                ? view
                : throw new ScenarioException(file, where, "is no view of an endpoint; save the answers of GET /v1/endpoints/{name} in an array.");
        }
        catch (Exception wrong) when (wrong is JsonException or ArgumentException or FormatException or InvalidOperationException)
        {
            throw new ScenarioException(file, where, $"is no view of an endpoint; save the answers of GET /v1/endpoints/{{name}} in an array. {wrong.Message}", wrong);
        }
    }
}
