using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using OrleansInference.Aws.EventStreams;

namespace OrleansInference.Tests.EventStreams;

public sealed class EventStreamTests
{
    /// <summary>Encoded by hand from the format's definition, checksums by zlib.</summary>
    [Fact]
    public void A_payload_part_has_the_documented_bytes()
    {
        var target = new ArrayBufferWriter<byte>();
        EventStreamWriter.Write(target, [new(":event-type", "PayloadPart")], "hi"u8);

        Assert.Equal(
            "0000002c" + "0000001a" + "9c71e416" // length, headers length, CRC-32 of the two
            + "0b" + Convert.ToHexStringLower(":event-type"u8) + "07" + "000b" + Convert.ToHexStringLower("PayloadPart"u8)
            + "6869" + "967c35f8",
            Convert.ToHexStringLower(target.WrittenSpan));
    }

    [Fact]
    public async Task Events_and_exceptions_have_the_headers_that_SDKs_look_at()
    {
        var target = new ArrayBufferWriter<byte>();
        EventStreamWriter.WriteEvent(target, "PayloadPart", "part"u8);
        EventStreamWriter.WriteException(target, "ModelStreamError", "{}"u8);
        await using var reader = new EventStreamReader(new MemoryStream(target.WrittenSpan.ToArray()));

        var part = await reader.ReadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(("event", "PayloadPart", null, "application/octet-stream", "part"), (part!.MessageType, part.EventType, part.ExceptionType, part.ContentType, Encoding.UTF8.GetString(part.Payload.Span)));
        var error = await reader.ReadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(("exception", null, "ModelStreamError", "application/json", "{}"), (error!.MessageType, error.EventType, error.ExceptionType, error.ContentType, Encoding.UTF8.GetString(error.Payload.Span)));
        Assert.Null(await reader.ReadAsync(TestContext.Current.CancellationToken));
    }

    [Property(Arbitrary = [typeof(Messages)])]
    public void Messages_come_back_as_they_were_however_their_bytes_are_cut(List<EventStreamMessage> messages, NonEmptyArray<PositiveInt> cuts)
    {
        var bytes = Encode(messages);
        var pipe = new Pipe();
        var reader = new EventStreamReader(pipe.Reader);
        var found = new List<EventStreamMessage>();
        var reading = Task.Run(async () =>
        {
            await foreach (var message in reader.ReadAllAsync())
            {
                found.Add(message);
            }
        });
        for (int position = 0, i = 0; position < bytes.Length; i++)
        {
            var count = Math.Min(cuts.Get[i % cuts.Get.Length].Get, bytes.Length - position);
            pipe.Writer.WriteAsync(bytes.AsMemory(position, count)).AsTask().GetAwaiter().GetResult();
            position += count;
        }

        pipe.Writer.Complete();
        reading.GetAwaiter().GetResult();
        AssertSame(messages, found);
    }

    [Property(Arbitrary = [typeof(Messages)])]
    public void Segmented_buffers_give_the_same_as_whole_ones(List<EventStreamMessage> messages, PositiveInt size)
    {
        var buffer = Segments(Encode(messages), size.Get);
        var found = new List<EventStreamMessage>();
        while (EventStreamReader.TryRead(ref buffer, out var message))
        {
            found.Add(message!);
        }

        Assert.True(buffer.IsEmpty);
        AssertSame(messages, found);
    }

    [Fact]
    public void Any_changed_bit_is_noticed()
    {
        var bytes = Encode([new([new(":message-type", "event"), EventStreamHeader.OfUuid("id", Guid.Empty)], "payload"u8.ToArray())]);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            var damaged = bytes.ToArray();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<EventStreamFormatException>(() =>
            {
                var buffer = new ReadOnlySequence<byte>(damaged);
                EventStreamReader.TryRead(ref buffer, out _);
            });
        }
    }

    [Fact]
    public async Task A_stream_that_ends_within_a_message_is_damaged()
    {
        var bytes = Encode([new([], "payload"u8.ToArray())]);
        for (var length = 1; length < bytes.Length; length++)
        {
            await using var reader = new EventStreamReader(new MemoryStream(bytes, 0, length));
            await Assert.ThrowsAsync<EventStreamFormatException>(async () => await reader.ReadAsync(TestContext.Current.CancellationToken));
        }
    }

    [Theory]
    [InlineData(15u, 0u)]
    [InlineData(uint.MaxValue, 0u)]
    [InlineData((uint)EventStreamMessage.MaxLength + 1, 0u)]
    [InlineData(100u, 85u)]
    [InlineData(10_000_000u, 131_073u)]
    public void Lengths_out_of_bounds_are_refused_before_anything_is_held(uint length, uint headersLength)
    {
        var prelude = new byte[12];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(prelude, length);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(prelude.AsSpan(4), headersLength);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(prelude.AsSpan(8), System.IO.Hashing.Crc32.HashToUInt32(prelude.AsSpan(0, 8)));
        Assert.Throws<EventStreamFormatException>(() =>
        {
            var buffer = new ReadOnlySequence<byte>(prelude);
            EventStreamReader.TryRead(ref buffer, out _);
        });
    }

    [Theory]
    [InlineData("036e616d")] // ends within the name
    [InlineData("016e")] // ends before the type
    [InlineData("016e0a")] // no such type
    [InlineData("016e07000561")] // text shorter than its length
    [InlineData("016e070001ff")] // not UTF-8
    [InlineData("016e0500")] // half an integer
    public void Malformed_headers_with_right_checksums_are_refused(string headers)
    {
        var body = Convert.FromHexString(headers);
        var bytes = new byte[16 + body.Length];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(bytes, bytes.Length);
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(4), body.Length);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(8), System.IO.Hashing.Crc32.HashToUInt32(bytes.AsSpan(0, 8)));
        body.CopyTo(bytes, 12);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), System.IO.Hashing.Crc32.HashToUInt32(bytes.AsSpan(0, bytes.Length - 4)));
        Assert.Throws<EventStreamFormatException>(() =>
        {
            var buffer = new ReadOnlySequence<byte>(bytes);
            EventStreamReader.TryRead(ref buffer, out _);
        });
    }

    [Fact]
    public void What_the_format_cannot_hold_is_refused_when_written()
    {
        var target = new ArrayBufferWriter<byte>();
        Assert.Throws<ArgumentException>(() => EventStreamWriter.Write(target, [new("", "value")], []));
        Assert.Throws<ArgumentException>(() => EventStreamWriter.Write(target, [new(new string('n', 256), "value")], []));
        Assert.Throws<ArgumentException>(() => EventStreamWriter.Write(target, [new("name", new string('v', 32_768))], []));
        Assert.Throws<ArgumentException>(() => EventStreamWriter.Write(target, [], new byte[EventStreamMessage.MaxLength]));
        Assert.Throws<ArgumentException>(() => EventStreamHeader.OfInteger("name", EventStreamHeaderType.Byte, 128));
        Assert.Equal(0, target.WrittenCount);
        EventStreamWriter.Write(target, [new(new string('n', 255), new string('v', 32_767))], new byte[24 << 20]);
        var buffer = new ReadOnlySequence<byte>(target.WrittenMemory);
        Assert.True(EventStreamReader.TryRead(ref buffer, out _));
    }

    private static byte[] Encode(IEnumerable<EventStreamMessage> messages)
    {
        var target = new ArrayBufferWriter<byte>();
        foreach (var message in messages)
        {
            EventStreamWriter.Write(target, [.. message.Headers], message.Payload.Span);
        }

        return target.WrittenSpan.ToArray();
    }

    private static void AssertSame(List<EventStreamMessage> expected, List<EventStreamMessage> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        foreach (var (a, b) in expected.Zip(actual))
        {
            Assert.Equal(a.Headers, b.Headers);
            Assert.Equal(a.Payload.ToArray(), b.Payload.ToArray());
        }
    }

    private static ReadOnlySequence<byte> Segments(byte[] bytes, int size)
    {
        var first = new Segment(default, 0);
        var last = first;
        for (var i = 0; i < bytes.Length; i += size)
        {
            last = last.Append(bytes.AsMemory(i, Math.Min(size, bytes.Length - i)));
        }

        return new(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }

    private static class Messages
    {
        public static Arbitrary<List<EventStreamMessage>> Lists()
        {
            var name = Gen.Elements(":event-type", "n", "größe", new string('x', 255));
            var numbers = Gen.Choose(int.MinValue, int.MaxValue);
            var bytes = Gen.Choose(0, 255).Select(b => (byte)b).ArrayOf();
            var header = Gen.OneOf(
                Gen.Zip(name, Gen.Elements("", "PayloadPart", "ü", new string('v', 5000)), (n, v) => new EventStreamHeader(n, v)),
                Gen.Zip(name, Gen.Elements(true, false), EventStreamHeader.OfFlag),
                Gen.Zip(name, numbers, (n, v) => EventStreamHeader.OfInteger(n, EventStreamHeaderType.Byte, (sbyte)(v & 0xff))),
                Gen.Zip(name, numbers, (n, v) => EventStreamHeader.OfInteger(n, EventStreamHeaderType.Int16, (short)(v & 0xffff))),
                Gen.Zip(name, numbers, (n, v) => EventStreamHeader.OfInteger(n, EventStreamHeaderType.Int32, v)),
                Gen.Zip(name, numbers, (n, v) => EventStreamHeader.OfInteger(n, EventStreamHeaderType.Int64, (long)v << 20)),
                Gen.Zip(name, bytes, (n, v) => EventStreamHeader.OfBytes(n, v)),
                Gen.Zip(name, numbers, (n, v) => EventStreamHeader.OfTimestamp(n, DateTimeOffset.FromUnixTimeMilliseconds((long)v * 1000))),
                Gen.Zip(name, bytes, (n, v) => EventStreamHeader.OfUuid(n, new Guid(v.Concat(new byte[16]).Take(16).ToArray()))));
            var message = Gen.Zip(header.ListOf(), bytes, (h, p) => new EventStreamMessage([.. h], p));
            return Arb.From(message.ListOf().Select(m => m.ToList()));
        }
    }
}
