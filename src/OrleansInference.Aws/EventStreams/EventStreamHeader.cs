using System.Globalization;

namespace OrleansInference.Aws.EventStreams;

/// <summary>Types of header values, with their numbers on the wire.</summary>
public enum EventStreamHeaderType
{
    /// <summary>True; no further bytes.</summary>
    True = 0,

    /// <summary>False; no further bytes.</summary>
    False = 1,

    /// <summary>A signed byte.</summary>
    Byte = 2,

    /// <summary>A 16-bit integer.</summary>
    Int16 = 3,

    /// <summary>A 32-bit integer.</summary>
    Int32 = 4,

    /// <summary>A 64-bit integer.</summary>
    Int64 = 5,

    /// <summary>Bytes, at most 32,767.</summary>
    Bytes = 6,

    /// <summary>UTF-8 text, at most 32,767 bytes.</summary>
    Text = 7,

    /// <summary>Milliseconds since 1970.</summary>
    Timestamp = 8,

    /// <summary>A UUID, big-endian.</summary>
    Uuid = 9,
}

/// <summary>A header of an event-stream message.</summary>
public sealed record EventStreamHeader
{
    private EventStreamHeader(string name, EventStreamHeaderType type, long number = 0, string? text = null, ReadOnlyMemory<byte> bytes = default)
    {
        Name = name;
        Type = type;
        Number = number;
        Text = text;
        Bytes = bytes;
    }

    /// <summary>A text header, the kind that SageMaker uses.</summary>
    public EventStreamHeader(string name, string value)
        : this(name, EventStreamHeaderType.Text, text: value)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(value);
    }

    /// <summary>The name, 1 to 255 bytes; names that begin with a colon are AWS's.</summary>
    public string Name { get; }

    /// <summary>The value's type.</summary>
    public EventStreamHeaderType Type { get; }

    /// <summary>The value of an integer, a flag (0 or 1), or a timestamp in Unix milliseconds; else 0.</summary>
    public long Number { get; }

    /// <summary>The value of a text; else null.</summary>
    public string? Text { get; }

    /// <summary>The value of bytes, or the 16 bytes of a UUID; else empty.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>A flag.</summary>
    public static EventStreamHeader OfFlag(string name, bool value) => new(name, value ? EventStreamHeaderType.True : EventStreamHeaderType.False, value ? 1 : 0);

    /// <summary>An integer, of type <see cref="EventStreamHeaderType.Byte"/> to <see cref="EventStreamHeaderType.Int64"/>.</summary>
    /// <exception cref="ArgumentException">Not an integer type, or the value does not fit it.</exception>
    public static EventStreamHeader OfInteger(string name, EventStreamHeaderType type, long value)
    {
        var fits = type switch
        {
            EventStreamHeaderType.Byte => value is >= sbyte.MinValue and <= sbyte.MaxValue,
            EventStreamHeaderType.Int16 => value is >= short.MinValue and <= short.MaxValue,
            EventStreamHeaderType.Int32 => value is >= int.MinValue and <= int.MaxValue,
            EventStreamHeaderType.Int64 => true,
            _ => false,
        };
        return fits ? new(name, type, value) : throw new ArgumentException($"{value} is not a value of type {type}.", nameof(value));
    }

    /// <summary>Bytes.</summary>
    public static EventStreamHeader OfBytes(string name, ReadOnlyMemory<byte> value) => new(name, EventStreamHeaderType.Bytes, bytes: value);

    /// <summary>A time, cut to milliseconds.</summary>
    public static EventStreamHeader OfTimestamp(string name, DateTimeOffset value) => OfTimestamp(name, value.ToUnixTimeMilliseconds());

    /// <summary>A UUID.</summary>
    public static EventStreamHeader OfUuid(string name, Guid value) => new(name, EventStreamHeaderType.Uuid, bytes: value.ToByteArray(bigEndian: true));

    /// <inheritdoc/>
    public bool Equals(EventStreamHeader? other) => other is not null && Name == other.Name && Type == other.Type
        && Number == other.Number && Text == other.Text && Bytes.Span.SequenceEqual(other.Bytes.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, Type, Number, Text, Bytes.Length);

    /// <inheritdoc/>
    public override string ToString() => Name + ": " + (Text ?? (Bytes.IsEmpty ? Number.ToString(CultureInfo.InvariantCulture) : Convert.ToHexStringLower(Bytes.Span)));

    internal static EventStreamHeader OfTimestamp(string name, long unixMilliseconds) => new(name, EventStreamHeaderType.Timestamp, unixMilliseconds);

    internal static EventStreamHeader OfUuid(string name, ReadOnlySpan<byte> bytes) => new(name, EventStreamHeaderType.Uuid, bytes: bytes.ToArray());
}
