using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace OrleansInference.Aws.DataCapture;

/// <summary>A call that is to be captured, with copies of its bodies.</summary>
internal sealed record CapturedCall
{
    public required string Endpoint { get; init; }

    public required string Variant { get; init; }

    public required DateTimeOffset At { get; init; }

    public required byte[] Input { get; init; }

    public string? InputType { get; init; }

    public required byte[] Output { get; init; }

    public string? OutputType { get; init; }

    public string? CustomAttributes { get; init; }

    public string? InferenceId { get; init; }
}

/// <summary>Captured calls as lines of SageMaker's data-capture format, event version 0.</summary>
internal static class CaptureLine
{
    private const string Blank = "REDACTED";
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The line, with its end; null if a body cannot be redacted.</summary>
    public static byte[]? Of(CapturedCall call, Guid id, IReadOnlyList<JsonPath> redact)
    {
        if (Body(call.Input, call.InputType, "INPUT", redact) is not { } input || Body(call.Output, call.OutputType, "OUTPUT", redact) is not { } output)
        {
            return null;
        }

        var metadata = new JsonObject { ["eventId"] = id.ToString() };
        if (!string.IsNullOrEmpty(call.CustomAttributes))
        {
            metadata["customAttributes"] = new JsonArray(call.CustomAttributes);
        }

        if (!string.IsNullOrEmpty(call.InferenceId))
        {
            metadata["inferenceId"] = call.InferenceId;
        }

        metadata["inferenceTime"] = call.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
        var line = new JsonObject
        {
            ["captureData"] = new JsonObject { ["endpointInput"] = input, ["endpointOutput"] = output },
            ["eventMetadata"] = metadata,
            ["eventVersion"] = "0",
        };
        return Encoding.UTF8.GetBytes(line.ToJsonString(Json) + "\n");
    }

    private static JsonObject? Body(byte[] body, string? type, string mode, IReadOnlyList<JsonPath> redact)
    {
        var kind = (type ?? "").Split(';')[0].Trim();
        var isJson = kind.Equals("application/json", StringComparison.OrdinalIgnoreCase) || kind.EndsWith("+json", StringComparison.OrdinalIgnoreCase);
        if (redact.Count > 0)
        {
            // What cannot be blanked out is not kept.
            if (!isJson || Redacted(body, redact) is not { } redacted)
            {
                return null;
            }

            body = redacted;
        }

        var encoding = isJson ? "JSON" : kind.Equals("text/csv", StringComparison.OrdinalIgnoreCase) ? "CSV" : "BASE64";
        return new()
        {
            ["observedContentType"] = type ?? "",
            ["mode"] = mode,
            ["data"] = encoding == "BASE64" ? Convert.ToBase64String(body) : Encoding.UTF8.GetString(body),
            ["encoding"] = encoding,
        };
    }

    private static byte[]? Redacted(byte[] body, IReadOnlyList<JsonPath> redact)
    {
        try
        {
            var root = JsonNode.Parse(body);
            foreach (var path in redact)
            {
                path.Replace(root, static () => Blank);
            }

            return Encoding.UTF8.GetBytes(root?.ToJsonString(Json) ?? "null");
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or InvalidOperationException)
        {
            // Not JSON, or with a member twice, or with half a surrogate pair (\ud800), which is JSON and no text.
            return null;
        }
    }
}
