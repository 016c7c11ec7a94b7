using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace OrleansInference.Aws.EventStreams;

/// <summary>
/// Encodes event-stream messages: total length, headers length, CRC-32 of both; headers; payload; CRC-32 of all before it.
/// Every number is big-endian.
/// </summary>
public static class EventStreamWriter
{
    private const int MaxNameLength = 255;
    private const int MaxValueLength = short.MaxValue;

    /// <summary>Writes an event, such as <c>PayloadPart</c>.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="eventType">Name of the event.</param>
    /// <param name="payload">Payload.</param>
    /// <param name="contentType">MIME type of the payload.</param>
    public static void WriteEvent(IBufferWriter<byte> target, string eventType, ReadOnlySpan<byte> payload, string contentType = "application/octet-stream") =>
        Write(target, [new(":event-type", eventType), new(":content-type", contentType), new(":message-type", "event")], payload);

    /// <summary>Writes a modelled exception, such as <c>ModelStreamError</c>, which ends the stream.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="exceptionType">Name of the exception.</param>
    /// <param name="payload">Its members as JSON.</param>
    /// <param name="contentType">MIME type of the payload.</param>
    public static void WriteException(IBufferWriter<byte> target, string exceptionType, ReadOnlySpan<byte> payload, string contentType = "application/json") =>
        Write(target, [new(":exception-type", exceptionType), new(":content-type", contentType), new(":message-type", "exception")], payload);

    /// <summary>Writes any message.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="headers">Headers, in order.</param>
    /// <param name="payload">Payload.</param>
    /// <exception cref="ArgumentException">A name, a value or the message is longer than the format or this library allows.</exception>
    public static void Write(IBufferWriter<byte> target, ReadOnlySpan<EventStreamHeader> headers, ReadOnlySpan<byte> payload)
    {
        ArgumentNullException.ThrowIfNull(target);
        var headersLength = 0;
        foreach (var header in headers)
        {
            headersLength += LengthOf(header);
        }

        if (headersLength > EventStreamMessage.MaxHeadersLength || payload.Length > EventStreamMessage.MaxLength - EventStreamMessage.FrameLength - headersLength)
        {
            throw new ArgumentException($"A message may have {EventStreamMessage.MaxLength} bytes, {EventStreamMessage.MaxHeadersLength} of them headers.", nameof(payload));
        }

        var length = EventStreamMessage.FrameLength + headersLength + payload.Length;
        var message = target.GetSpan(length)[..length];
        BinaryPrimitives.WriteInt32BigEndian(message, length);
        BinaryPrimitives.WriteInt32BigEndian(message[4..], headersLength);
        BinaryPrimitives.WriteUInt32BigEndian(message[8..], Crc32.HashToUInt32(message[..8]));
        var rest = message[EventStreamMessage.PreludeLength..];
        foreach (var header in headers)
        {
            rest = rest[WriteHeader(rest, header)..];
        }

        payload.CopyTo(rest);
        BinaryPrimitives.WriteUInt32BigEndian(message[^4..], Crc32.HashToUInt32(message[..^4]));
        target.Advance(length);
    }

    private static int LengthOf(EventStreamHeader header)
    {
        var name = Encoding.UTF8.GetByteCount(header.Name);
        var value = header.Type switch
        {
            EventStreamHeaderType.True or EventStreamHeaderType.False => 0,
            EventStreamHeaderType.Byte => 1,
            EventStreamHeaderType.Int16 => 2,
            EventStreamHeaderType.Int32 => 4,
            EventStreamHeaderType.Int64 or EventStreamHeaderType.Timestamp => 8,
            EventStreamHeaderType.Bytes => 2 + header.Bytes.Length,
            EventStreamHeaderType.Text => 2 + Encoding.UTF8.GetByteCount(header.Text!),
            _ => 16,
        };
        return name is 0 or > MaxNameLength || value > MaxValueLength + 2
            ? throw new ArgumentException($"The header '{header.Name}' must have a name of 1 to {MaxNameLength} bytes and a value of at most {MaxValueLength}.", nameof(header))
            : 1 + name + 1 + value;
    }

    private static int WriteHeader(Span<byte> target, EventStreamHeader header)
    {
        var position = 1 + Encoding.UTF8.GetBytes(header.Name, target[1..]);
        target[0] = (byte)(position - 1);
        target[position++] = (byte)header.Type;
        var value = target[position..];
        switch (header.Type)
        {
            case EventStreamHeaderType.True or EventStreamHeaderType.False:
                return position;
            case EventStreamHeaderType.Byte:
                value[0] = unchecked((byte)header.Number);
                return position + 1;
            case EventStreamHeaderType.Int16:
                BinaryPrimitives.WriteInt16BigEndian(value, (short)header.Number);
                return position + 2;
            case EventStreamHeaderType.Int32:
                BinaryPrimitives.WriteInt32BigEndian(value, (int)header.Number);
                return position + 4;
            case EventStreamHeaderType.Int64 or EventStreamHeaderType.Timestamp:
                BinaryPrimitives.WriteInt64BigEndian(value, header.Number);
                return position + 8;
            case EventStreamHeaderType.Uuid:
                header.Bytes.Span.CopyTo(value);
                return position + 16;
            case EventStreamHeaderType.Bytes:
                header.Bytes.Span.CopyTo(value[2..]);
                BinaryPrimitives.WriteInt16BigEndian(value, (short)header.Bytes.Length);
                return position + 2 + header.Bytes.Length;
            default:
                var length = Encoding.UTF8.GetBytes(header.Text, value[2..]);
                BinaryPrimitives.WriteInt16BigEndian(value, (short)length);
                return position + 2 + length;
        }
    }
}
