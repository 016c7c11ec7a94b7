using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>An enum as one of its names: neither a number nor several names at once is taken for one.</summary>
/// <typeparam name="T">The enum.</typeparam>
public sealed class NamedEnumConverter<T> : JsonConverter<T>
    where T : struct, Enum
{
    /// <inheritdoc/>
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String ? Parse(reader.GetString()) : throw new JsonException();

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.ToString());
    }

    /// <inheritdoc/>
    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Parse(reader.GetString());

    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WritePropertyName(value.ToString());
    }

    // Without a message of its own the reader says what could not be converted to what, and where.
    private static T Parse(string? name)
    {
        foreach (var known in Enum.GetNames<T>())
        {
            if (string.Equals(known, name, StringComparison.OrdinalIgnoreCase))
            {
                return Enum.Parse<T>(known);
            }
        }

        throw new JsonException();
    }
}
