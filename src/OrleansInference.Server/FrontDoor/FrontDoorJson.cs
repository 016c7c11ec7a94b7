using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansInference.FrontDoor;

/// <summary>How <c>/v1</c> writes and reads JSON: camel case; money as strings of dollars; enums by name.</summary>
internal static class FrontDoorJson
{
    public static JsonSerializerOptions Options { get; } = Configure(new(JsonSerializerDefaults.Web));

    public static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        options.NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        return options;
    }
}
