using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansInference.Aws.ControlPlane;

/// <summary>The control plane's JSON: members are named as in the service model, absent when null; times are seconds since 1970.</summary>
internal static class ControlPlaneJson
{
    public static readonly JsonSerializerOptions Options = new()
    {
        // A body of this protocol is never part of a page: text is written as it is, as the official SDKs do.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.Strict,
    };

    public static DateTimeOffset? Time(double? seconds) =>
        seconds is { } value ? DateTimeOffset.FromUnixTimeMilliseconds((long)Math.Round(value * 1000)) : null;
}
