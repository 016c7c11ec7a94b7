using System.Collections.Immutable;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Orleans.Storage;

namespace OrleansInference.Sqlite;

/// <summary>
/// State as JSON: readable by people and tools, and tolerant of members that come and go between releases. What would be written and silently not read back
/// (a property without a usable setter) is refused at its first use. A member that is nothing (null, 0, false) is left out where it would be read back as that.
/// </summary>
public sealed class GrainStateJsonSerializer : IGrainStorageSerializer
{
    private static readonly MethodInfo IsDefaultMethod = typeof(GrainStateJsonSerializer).GetMethod(nameof(IsDefault), BindingFlags.Static | BindingFlags.NonPublic)!;

    private readonly JsonSerializerOptions _options;

    /// <summary>Creates the serializer; <paramref name="configure"/> may add converters or change the defaults.</summary>
    public GrainStateJsonSerializer(Action<JsonSerializerOptions>? configure = null)
    {
        _options = CreateOptions();
        configure?.Invoke(_options);
        _options.MakeReadOnly(populateMissingResolver: true);
    }

    /// <inheritdoc/>
    public BinaryData Serialize<T>(T? input) => new(JsonSerializer.SerializeToUtf8Bytes(input, _options));

    /// <inheritdoc/>
    public T? Deserialize<T>(BinaryData input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return JsonSerializer.Deserialize<T>(input.ToMemory().Span, _options);
    }

    private static JsonSerializerOptions CreateOptions() => new()
    {
        Converters = { new JsonStringEnumConverter() },
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { KeepWhatWouldComeBackOtherwise, SkipDefaultImmutableArrays, RefuseWhatWouldBeLost } },
    };

    // What is left out is read as its type begins with: only where that is nothing too may nothing be left out.
    private static void KeepWhatWouldComeBackOtherwise(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Object)
        {
            return;
        }

        var begins = type.Type.IsValueType || type.Type is { IsAbstract: false } && type.Type.GetConstructor(Type.EmptyTypes) is not null ? Activator.CreateInstance(type.Type) : null;
        foreach (var property in type.Properties)
        {
            if (property.ShouldSerialize is null && (property.IsRequired || !BeginsWithNothing(property, begins)))
            {
                property.ShouldSerialize = static (_, _) => true;
            }
        }
    }

    private static bool BeginsWithNothing(JsonPropertyInfo property, object? begins)
    {
        var nothing = property.PropertyType.IsValueType ? Activator.CreateInstance(property.PropertyType) : null;
        return property.AssociatedParameter is { } parameter
            ? !parameter.HasDefaultValue || parameter.DefaultValue is null || Equals(parameter.DefaultValue, nothing)
            : begins is not null && property.Get is { } get && Equals(get(begins), nothing);
    }

    // A default ImmutableArray cannot be enumerated, so it is left out and comes back as the default.
    private static void SkipDefaultImmutableArrays(JsonTypeInfo type)
    {
        foreach (var property in type.Properties)
        {
            if (property.PropertyType.IsGenericType && property.PropertyType.GetGenericTypeDefinition() == typeof(ImmutableArray<>))
            {
                var isDefault = IsDefaultMethod.MakeGenericMethod(property.PropertyType.GenericTypeArguments).CreateDelegate<Func<object, bool>>();
                var before = property.ShouldSerialize;
                property.ShouldSerialize = (owner, value) => value is not null && !isDefault(value) && (before is null || before(owner, value));
            }
        }
    }

    private static bool IsDefault<T>(object array) => ((ImmutableArray<T>)array).IsDefault;

    private static void RefuseWhatWouldBeLost(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Object)
        {
            return;
        }

        foreach (var property in type.Properties)
        {
            if (property is { Get: not null, Set: null, AssociatedParameter: null } && IsStored(type.Type, property))
            {
                throw new NotSupportedException(
                    $"{type.Type}.{property.Name} would be written to storage but not read back. Give it an init or set accessor (or [JsonInclude] if that is private), or mark it [JsonIgnore].");
            }
        }
    }

    // A property with a field behind it is state; one without is computed, and writing it does no harm.
    private static bool IsStored(Type type, JsonPropertyInfo property) =>
        property.AttributeProvider is PropertyInfo member
        && (member.DeclaringType ?? type).GetField($"<{member.Name}>k__BackingField", BindingFlags.Instance | BindingFlags.NonPublic) is not null;
}
