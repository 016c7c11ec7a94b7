using System.Text.Json;

namespace OrleansInference.LocalAws.Wire;

/// <summary>The JSON protocols: operations are <c>POST /</c> with a target header, times are seconds since 1970.</summary>
internal static class JsonWire
{
    public const string Json10 = "application/x-amz-json-1.0";
    public const string Json11 = "application/x-amz-json-1.1";

    /// <summary>The most bytes of one operation's body.</summary>
    public const int MaxBody = 2 << 20;

    public static AwsFault TooLarge() => new(413, "RequestEntityTooLargeException", $"The body is larger than the {MaxBody} bytes that one operation may have.");

    public static JsonDocument Parse(byte[] body)
    {
        try
        {
            var document = JsonDocument.Parse(body.Length == 0 ? "{}"u8.ToArray() : body);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document
                : throw new AwsFault(400, "SerializationException", "The body must be a JSON object.");
        }
        catch (JsonException exception)
        {
            throw new AwsFault(400, "SerializationException", $"The body is not JSON: {exception.Message}");
        }
    }

    public static double Seconds(long unixMilliseconds) => unixMilliseconds / 1000.0;

    public static async Task AnswerAsync(HttpResponse response, string contentType, object answer, int status = 200)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(answer);
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = body.Length;
        await response.Body.WriteAsync(body);
    }

    public static string? Text(this JsonElement element, string name) => element.TryGetProperty(name, out var value) switch
    {
        true when value.ValueKind == JsonValueKind.String => value.GetString(),
        true when value.ValueKind != JsonValueKind.Null => throw Wrong(name, "a string"),
        _ => null,
    };

    public static int? Integer(this JsonElement element, string name) => element.TryGetProperty(name, out var value) switch
    {
        true when value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) => number,
        true when value.ValueKind != JsonValueKind.Null => throw Wrong(name, "a whole number"),
        _ => null,
    };

    public static JsonElement? Object(this JsonElement element, string name) => element.TryGetProperty(name, out var value) switch
    {
        true when value.ValueKind == JsonValueKind.Object => value,
        true when value.ValueKind != JsonValueKind.Null => throw Wrong(name, "an object"),
        _ => null,
    };

    public static IEnumerable<JsonElement> List(this JsonElement element, string name) => element.TryGetProperty(name, out var value) switch
    {
        true when value.ValueKind == JsonValueKind.Array => value.EnumerateArray(),
        true when value.ValueKind != JsonValueKind.Null => throw Wrong(name, "a list"),
        _ => [],
    };

    private static AwsFault Wrong(string name, string kind) => new(400, "SerializationException", $"{name} must be {kind}.");
}
