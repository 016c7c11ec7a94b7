using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>The rule that every name in the system obeys: SageMaker's rule for endpoint names.</summary>
public static class NameRule
{
    /// <summary>The most characters a name may have.</summary>
    public const int MaxLength = 63;

    /// <summary>The rule in words, for error messages.</summary>
    public const string Description = "1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit";

    /// <summary>Whether <paramref name="text"/> is <see cref="Description"/>.</summary>
    public static bool IsValid([NotNullWhen(true)] string? text)
    {
        if (text is null || text.Length is 0 or > MaxLength || text[0] == '-' || text[^1] == '-')
        {
            return false;
        }

        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '-')
            {
                return false;
            }
        }

        return true;
    }

    internal static string Require(string? text, string kind) => IsValid(text)
        ? text
        : throw new ArgumentException($"'{text}' is not a valid {kind}: it must be {Description}.", nameof(text));
}

/// <summary>Who pays: the key of a tenant.</summary>
[GenerateSerializer, Immutable, Alias("oi.TenantId")]
[JsonConverter(typeof(TenantIdJsonConverter))]
public readonly record struct TenantId
{
    [Id(0)]
    private readonly string? _value;

    /// <summary>Checks <paramref name="value"/> against <see cref="NameRule"/>.</summary>
    /// <exception cref="ArgumentException">The name breaks the rule.</exception>
    public TenantId(string value) => _value = NameRule.Require(value, "tenant id");

    /// <summary>The name as text; empty only for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Makes a name if <paramref name="text"/> obeys <see cref="NameRule"/>.</summary>
    public static bool TryParse(string? text, out TenantId name)
    {
        name = NameRule.IsValid(text) ? new(text) : default;
        return name._value is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>A <see cref="TenantId"/> as a JSON string or property name.</summary>
public sealed class TenantIdJsonConverter : JsonConverter<TenantId>
{
    /// <inheritdoc/>
    public override TenantId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.GetString();
        return TenantId.TryParse(text, out var name) ? name : throw new JsonException($"'{text}' is not a valid tenant id: it must be {NameRule.Description}.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, TenantId value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.Value);
    }

    /// <inheritdoc/>
    public override TenantId ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Read(ref reader, typeToConvert, options);

    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, TenantId value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WritePropertyName(value.Value);
    }
}

/// <summary>What a caller asks for: the name of a model.</summary>
[GenerateSerializer, Immutable, Alias("oi.ModelName")]
[JsonConverter(typeof(ModelNameJsonConverter))]
public readonly record struct ModelName
{
    [Id(0)]
    private readonly string? _value;

    /// <summary>Checks <paramref name="value"/> against <see cref="NameRule"/>.</summary>
    /// <exception cref="ArgumentException">The name breaks the rule.</exception>
    public ModelName(string value) => _value = NameRule.Require(value, "model name");

    /// <summary>The name as text; empty only for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Makes a name if <paramref name="text"/> obeys <see cref="NameRule"/>.</summary>
    public static bool TryParse(string? text, out ModelName name)
    {
        name = NameRule.IsValid(text) ? new(text) : default;
        return name._value is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>A <see cref="ModelName"/> as a JSON string or property name.</summary>
public sealed class ModelNameJsonConverter : JsonConverter<ModelName>
{
    /// <inheritdoc/>
    public override ModelName Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.GetString();
        return ModelName.TryParse(text, out var name) ? name : throw new JsonException($"'{text}' is not a valid model name: it must be {NameRule.Description}.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, ModelName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.Value);
    }

    /// <inheritdoc/>
    public override ModelName ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Read(ref reader, typeToConvert, options);

    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, ModelName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WritePropertyName(value.Value);
    }
}

/// <summary>One build of a model, unique within it.:</summary>
[GenerateSerializer, Immutable, Alias("oi.VariantName")]
[JsonConverter(typeof(VariantNameJsonConverter))]
public readonly record struct VariantName
{
    [Id(0)]
    private readonly string? _value;

    /// <summary>Checks <paramref name="value"/> against <see cref="NameRule"/>.</summary>
    /// <exception cref="ArgumentException">The name breaks the rule.</exception>
    public VariantName(string value) => _value = NameRule.Require(value, "variant name");

    /// <summary>The name as text; empty only for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Makes a name if <paramref name="text"/> obeys <see cref="NameRule"/>.</summary>
    public static bool TryParse(string? text, out VariantName name)
    {
        name = NameRule.IsValid(text) ? new(text) : default;
        return name._value is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>A <see cref="VariantName"/> as a JSON string or property name.</summary>
public sealed class VariantNameJsonConverter : JsonConverter<VariantName>
{
    /// <inheritdoc/>
    public override VariantName Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.GetString();
        return VariantName.TryParse(text, out var name) ? name : throw new JsonException($"'{text}' is not a valid variant name: it must be {NameRule.Description}.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, VariantName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.Value);
    }

    /// <inheritdoc/>
    public override VariantName ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Read(ref reader, typeToConvert, options);

    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, VariantName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WritePropertyName(value.Value);
    }
}

/// <summary>Where a variant runs; unique in the catalog.:</summary>
[GenerateSerializer, Immutable, Alias("oi.EndpointName")]
[JsonConverter(typeof(EndpointNameJsonConverter))]
public readonly record struct EndpointName
{
    [Id(0)]
    private readonly string? _value;

    /// <summary>Checks <paramref name="value"/> against <see cref="NameRule"/>.</summary>
    /// <exception cref="ArgumentException">The name breaks the rule.</exception>
    public EndpointName(string value) => _value = NameRule.Require(value, "endpoint name");

    /// <summary>The name as text; empty only for the default value.</summary>
    public string Value => _value ?? "";

    /// <summary>Makes a name if <paramref name="text"/> obeys <see cref="NameRule"/>.</summary>
    public static bool TryParse(string? text, out EndpointName name)
    {
        name = NameRule.IsValid(text) ? new(text) : default;
        return name._value is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>A <see cref="EndpointName"/> as a JSON string or property name.</summary>
public sealed class EndpointNameJsonConverter : JsonConverter<EndpointName>
{
    /// <inheritdoc/>
    public override EndpointName Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.GetString();
        return EndpointName.TryParse(text, out var name) ? name : throw new JsonException($"'{text}' is not a valid endpoint name: it must be {NameRule.Description}.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, EndpointName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.Value);
    }

    /// <inheritdoc/>
    public override EndpointName ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Read(ref reader, typeToConvert, options);

    /// <inheritdoc/>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, EndpointName value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WritePropertyName(value.Value);
    }
}
