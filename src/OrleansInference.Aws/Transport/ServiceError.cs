using System.Text.Json;

namespace OrleansInference.Aws.Transport;

/// <summary>An error as a service with a JSON protocol answers it.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Type">Name of the error without namespace, such as <c>ValidationException</c>; empty if the service gave none.</param>
/// <param name="Message">What the service says.</param>
/// <param name="Body">The body, if it is a JSON object.</param>
internal sealed record ServiceError(int Status, string Type, string Message, JsonElement? Body)
{
    private const int MaxBodyBytes = 256 << 10;

    public bool IsThrottling => Status == 429 || Type is "ThrottlingException" or "Throttling" or "ThrottledException" or "RequestThrottledException"
        or "RequestThrottled" or "TooManyRequestsException" or "RequestLimitExceeded" or "BandwidthLimitExceeded" or "SlowDown";

    /// <summary>Whether the same request may well succeed a little later.</summary>
    public bool IsTransient => IsThrottling || Status is 408 or >= 500;

    /// <summary>A text member of the body.</summary>
    public string? Text(string name) =>
        Body is { } body && body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>A number member of the body.</summary>
    public int? Number(string name) =>
        Body is { } body && body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : null;

    public static async Task<ServiceError> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var bytes = await BoundedBody.ReadAsync(response.Content, MaxBodyBytes, cancellationToken).ConfigureAwait(false);
        var body = Parse(bytes);
        var type = response.Headers.TryGetValues("x-amzn-ErrorType", out var values) ? values.FirstOrDefault() : null;
        var error = new ServiceError((int)response.StatusCode, "", "", body);
        type = Name(type ?? error.Text("__type") ?? error.Text("code") ?? "");
        var message = error.Text("Message") ?? error.Text("message") ?? error.Text("errorMessage") ?? "";
        return error with { Type = type, Message = message.Length > 0 ? message : $"The service answered {error.Status} {type}".TrimEnd() + "." };
    }

    /// <summary>The bare name in <c>namespace#Name:address</c>.</summary>
    private static string Name(string type)
    {
        var colon = type.IndexOf(':', StringComparison.Ordinal);
        return (colon < 0 ? type : type[..colon])[(type.IndexOf('#', StringComparison.Ordinal) + 1)..].Trim();
    }

    private static JsonElement? Parse(byte[] bytes)
    {
        try
        {
            var reader = new Utf8JsonReader(bytes);
            return JsonElement.TryParseValue(ref reader, out var element) && element.Value.ValueKind == JsonValueKind.Object ? element : null;
        }
        catch (JsonException)
        {
            // A proxy on the way answered in its own words; status and type say enough.
            return null;
        }
    }
}
