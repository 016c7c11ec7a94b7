using System.Globalization;
using System.Text;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.Objects;

/// <summary>
/// Decodes <c>aws-chunked</c> bodies: chunks as <c>hex-size[;chunk-signature=…]CRLF data CRLF</c>, a last chunk of size 0, and
/// trailing headers such as a checksum. Signatures of single chunks are not checked; the one of the request is.
/// </summary>
internal sealed class AwsChunkedStream(Stream source) : Stream
{
    private const int MaxLine = 4096;
    private readonly byte[] _buffer = new byte[64 << 10];
    private int _start;
    private int _end;
    private long _left;
    private bool _first = true;
    private bool _ended;

    /// <summary>Trailing headers, there when the stream has been read to its end.</summary>
    public Dictionary<string, string> Trailers { get; } = new(StringComparer.OrdinalIgnoreCase);

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_left == 0 && !_ended)
        {
            await BeginChunkAsync(cancellationToken);
        }

        if (_ended || buffer.IsEmpty)
        {
            return 0;
        }

        if (_start == _end && !await FillAsync(cancellationToken))
        {
            throw Malformed("it ends within a chunk");
        }

        var count = (int)Math.Min(Math.Min(_left, buffer.Length), _end - _start);
        _buffer.AsSpan(_start, count).CopyTo(buffer.Span);
        _start += count;
        _left -= count;
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Read asynchronously.");

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    private static AwsFault Malformed(string reason) => new(400, "IncompleteBody", $"The aws-chunked body cannot be read: {reason}.");

    private async ValueTask BeginChunkAsync(CancellationToken cancellationToken)
    {
        if (!_first && (await LineAsync(cancellationToken)).Length != 0)
        {
            throw Malformed("a chunk is longer than it says");
        }

        _first = false;
        var line = await LineAsync(cancellationToken);
        var size = line.Split(';')[0].Trim();
        if (!long.TryParse(size, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _left) || _left < 0)
        {
            throw Malformed($"'{size}' is no size of a chunk");
        }

        if (_left == 0)
        {
            _ended = true;
            await ReadTrailersAsync(cancellationToken);
        }
    }

    private async ValueTask ReadTrailersAsync(CancellationToken cancellationToken)
    {
        while (_start != _end || await FillAsync(cancellationToken))
        {
            var line = await LineAsync(cancellationToken);
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                Trailers[line[..colon].Trim()] = line[(colon + 1)..].Trim();
            }
        }
    }

    private async ValueTask<string> LineAsync(CancellationToken cancellationToken)
    {
        var line = new StringBuilder();
        while (line.Length <= MaxLine)
        {
            if (_start == _end && !await FillAsync(cancellationToken))
            {
                throw Malformed("it ends before its last chunk");
            }

            var next = (char)_buffer[_start++];
            if (next == '\n')
            {
                return line.ToString().TrimEnd('\r');
            }

            line.Append(next);
        }

        throw Malformed("a line is too long");
    }

    private async ValueTask<bool> FillAsync(CancellationToken cancellationToken)
    {
        _start = 0;
        _end = await source.ReadAsync(_buffer, cancellationToken);
        return _end > 0;
    }
}
