using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansInference.Aws.EventStreams;

/// <summary>
/// Decodes event-stream messages as their bytes arrive, checking both checksums. Holds at most one message. For one caller at a time.
/// </summary>
public sealed class EventStreamReader : IAsyncDisposable
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly PipeReader _source;

    /// <summary>Reads from a pipe, and completes it when disposed.</summary>
    public EventStreamReader(PipeReader source)
    {
        ArgumentNullException.ThrowIfNull(source);
        _source = source;
    }

    /// <summary>Reads from a stream, and disposes it when disposed.</summary>
    public EventStreamReader(Stream source)
        : this(PipeReader.Create(source))
    {
    }

    /// <summary>The next message; null at the end of the stream.</summary>
    /// <exception cref="EventStreamFormatException">The bytes are not an event stream, are damaged, or end within a message.</exception>
    public async ValueTask<EventStreamMessage?> ReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            var read = await _source.ReadAsync(cancellationToken).ConfigureAwait(false);
            var rest = read.Buffer;
            if (TryRead(ref rest, out var message))
            {
                _source.AdvanceTo(rest.Start);
                return message;
            }

            if (read.IsCompleted)
            {
                _source.AdvanceTo(rest.Start);
                return rest.IsEmpty ? null : throw new EventStreamFormatException("The event stream ends within a message.");
            }

            _source.AdvanceTo(rest.Start, rest.End);
        }
    }

    /// <summary>Every message to the end of the stream.</summary>
    /// <exception cref="EventStreamFormatException">The bytes are not an event stream, are damaged, or end within a message.</exception>
    public async IAsyncEnumerable<EventStreamMessage> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (await ReadAsync(cancellationToken).ConfigureAwait(false) is { } message)
        {
            yield return message;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _source.CompleteAsync();

    /// <summary>Takes one message off the front of a buffer; false if it is not there whole yet.</summary>
    /// <param name="buffer">The bytes; begins after the message afterwards.</param>
    /// <param name="message">The message, which keeps nothing of the buffer.</param>
    /// <exception cref="EventStreamFormatException">The bytes are not an event stream, or are damaged.</exception>
    public static bool TryRead(ref ReadOnlySequence<byte> buffer, out EventStreamMessage? message)
    {
        message = null;
        if (buffer.Length < EventStreamMessage.PreludeLength)
        {
            return false;
        }

        Span<byte> prelude = stackalloc byte[EventStreamMessage.PreludeLength];
        buffer.Slice(0, EventStreamMessage.PreludeLength).CopyTo(prelude);
        if (BinaryPrimitives.ReadUInt32BigEndian(prelude[8..]) != Crc32.HashToUInt32(prelude[..8]))
        {
            throw new EventStreamFormatException("The checksum of a message's prelude is wrong.");
        }

        var length = BinaryPrimitives.ReadUInt32BigEndian(prelude);
        var headersLength = BinaryPrimitives.ReadUInt32BigEndian(prelude[4..]);
        if (length is < EventStreamMessage.FrameLength or > EventStreamMessage.MaxLength
            || headersLength > EventStreamMessage.MaxHeadersLength || headersLength > length - EventStreamMessage.FrameLength)
        {
            throw new EventStreamFormatException($"A message claims {length} bytes, {headersLength} of them headers; at most {EventStreamMessage.MaxLength} and {EventStreamMessage.MaxHeadersLength} are taken.");
        }

        if (buffer.Length < length)
        {
            return false;
        }

        CheckMessage(buffer.Slice(0, length));
        var headers = buffer.Slice(EventStreamMessage.PreludeLength, headersLength);
        var payload = buffer.Slice(EventStreamMessage.PreludeLength + headersLength, length - EventStreamMessage.FrameLength - headersLength);
        message = new(ReadHeaders(headers.IsSingleSegment ? headers.FirstSpan : headers.ToArray()), payload.ToArray());
        buffer = buffer.Slice(length);
        return true;
    }

    private static void CheckMessage(ReadOnlySequence<byte> message)
    {
        var crc = new Crc32();
        foreach (var segment in message.Slice(0, message.Length - 4))
        {
            crc.Append(segment.Span);
        }

        Span<byte> sent = stackalloc byte[4];
        message.Slice(message.Length - 4).CopyTo(sent);
        if (BinaryPrimitives.ReadUInt32BigEndian(sent) != crc.GetCurrentHashAsUInt32())
        {
            throw new EventStreamFormatException("The checksum of a message is wrong.");
        }
    }

    private static List<EventStreamHeader> ReadHeaders(ReadOnlySpan<byte> bytes)
    {
        var headers = new List<EventStreamHeader>(4);
        while (!bytes.IsEmpty)
        {
            var name = TakeText(ref bytes, Take(ref bytes, 1)[0]);
            var type = (EventStreamHeaderType)Take(ref bytes, 1)[0];
            headers.Add(type switch
            {
                EventStreamHeaderType.True => EventStreamHeader.OfFlag(name, true),
                EventStreamHeaderType.False => EventStreamHeader.OfFlag(name, false),
                EventStreamHeaderType.Byte => EventStreamHeader.OfInteger(name, type, unchecked((sbyte)Take(ref bytes, 1)[0])),
                EventStreamHeaderType.Int16 => EventStreamHeader.OfInteger(name, type, BinaryPrimitives.ReadInt16BigEndian(Take(ref bytes, 2))),
                EventStreamHeaderType.Int32 => EventStreamHeader.OfInteger(name, type, BinaryPrimitives.ReadInt32BigEndian(Take(ref bytes, 4))),
                EventStreamHeaderType.Int64 => EventStreamHeader.OfInteger(name, type, BinaryPrimitives.ReadInt64BigEndian(Take(ref bytes, 8))),
                EventStreamHeaderType.Bytes => EventStreamHeader.OfBytes(name, Take(ref bytes, TakeLength(ref bytes)).ToArray()),
                EventStreamHeaderType.Text => new(name, TakeText(ref bytes, TakeLength(ref bytes))),
                EventStreamHeaderType.Timestamp => EventStreamHeader.OfTimestamp(name, BinaryPrimitives.ReadInt64BigEndian(Take(ref bytes, 8))),
                EventStreamHeaderType.Uuid => EventStreamHeader.OfUuid(name, Take(ref bytes, 16)),
                _ => throw new EventStreamFormatException($"The header '{name}' has the unknown type {(int)type}."),
            });
        }

        return headers;
    }

    private static int TakeLength(ref ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16BigEndian(Take(ref bytes, 2));

    private static string TakeText(ref ReadOnlySpan<byte> bytes, int length)
    {
        try
        {
            return StrictUtf8.GetString(Take(ref bytes, length));
        }
        catch (DecoderFallbackException)
        {
            throw new EventStreamFormatException("A header's text is not UTF-8.");
        }
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> bytes, int length)
    {
        if (bytes.Length < length)
        {
            throw new EventStreamFormatException("A message's headers end within a header.");
        }

        var taken = bytes[..length];
        bytes = bytes[length..];
        return taken;
    }
}
