using System.Buffers;
using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>Builds UTF-8 text on the stack, and in a pooled array once that is too small.</summary>
internal ref struct Utf8Builder(Span<byte> initial)
{
    private static readonly SearchValues<byte> Unreserved =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"u8);

    private Span<byte> _buffer = initial;
    private byte[]? _rented;
    private int _length;

    public readonly ReadOnlySpan<byte> Written => _buffer[.._length];

    public readonly void Dispose()
    {
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
        }
    }

    public void Append(byte value)
    {
        if (_length == _buffer.Length)
        {
            Grow(1);
        }

        _buffer[_length++] = value;
    }

    public void Append(scoped ReadOnlySpan<byte> value)
    {
        value.CopyTo(Reserve(value.Length));
        _length += value.Length;
    }

    public void Append(scoped ReadOnlySpan<char> value) => _length += Encoding.UTF8.GetBytes(value, Reserve(Encoding.UTF8.GetMaxByteCount(value.Length)));

    public void AppendLowerAscii(scoped ReadOnlySpan<char> value)
    {
        var start = _length;
        Append(value);
        Ascii.ToLowerInPlace(_buffer[start.._length], out _);
    }

    public void AppendHex(scoped ReadOnlySpan<byte> value)
    {
        Convert.TryToHexStringLower(value, Reserve(value.Length * 2), out var written);
        _length += written;
    }

    /// <summary>Appends a header value trimmed, with each run of HTTP's white space made one space: other spaces, such as the no-break one, are text.</summary>
    public void AppendCollapsed(scoped ReadOnlySpan<char> value)
    {
        const string WhiteSpace = " \t\r\n";
        value = value.Trim(WhiteSpace);
        while (true)
        {
            var end = value.IndexOfAny(WhiteSpace);
            if (end < 0)
            {
                Append(value);
                return;
            }

            Append(value[..end]);
            Append((byte)' ');
            value = value[end..].TrimStart(WhiteSpace);
        }
    }

    /// <summary>Percent-encodes every byte that is not unreserved in RFC 3986; a slash too unless kept.</summary>
    public void AppendEncoded(scoped ReadOnlySpan<char> value, bool keepSlash)
    {
        using var text = new Utf8Builder(stackalloc byte[256]);
        text.Append(value);
        if (!text.Written.ContainsAnyExcept(Unreserved))
        {
            Append(text.Written);
            return;
        }

        foreach (var b in text.Written)
        {
            AppendEncoded(b, keepSlash);
        }
    }

    /// <summary>
    /// Percent-encodes text that may be percent-encoded already exactly once: two spellings of one text give one result.
    /// </summary>
    public void AppendReencoded(scoped ReadOnlySpan<char> value, bool keepSlash, bool plusIsSpace)
    {
        using var text = new Utf8Builder(stackalloc byte[256]);
        text.Append(value);
        var bytes = text.Written;
        for (var i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] == '%' && i + 2 < bytes.Length && char.IsAsciiHexDigit((char)bytes[i + 1]) && char.IsAsciiHexDigit((char)bytes[i + 2]))
            {
                AppendEncoded((byte)((FromHex(bytes[i + 1]) << 4) | FromHex(bytes[i + 2])), keepSlash: false);
                i += 2;
            }
            else
            {
                AppendEncoded(bytes[i] == '+' && plusIsSpace ? (byte)' ' : bytes[i], keepSlash);
            }
        }
    }

    private static int FromHex(byte digit) => digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;

    private void AppendEncoded(byte value, bool keepSlash)
    {
        if (Unreserved.Contains(value) || (keepSlash && value == '/'))
        {
            Append(value);
            return;
        }

        var digits = "0123456789ABCDEF"u8;
        Append((byte)'%');
        Append(digits[value >> 4]);
        Append(digits[value & 15]);
    }

    private Span<byte> Reserve(int count)
    {
        if (count > _buffer.Length - _length)
        {
            Grow(count);
        }

        return _buffer[_length..];
    }

    private void Grow(int count)
    {
        var bigger = ArrayPool<byte>.Shared.Rent(Math.Max(_buffer.Length * 2, _length + count));
        Written.CopyTo(bigger);
        Dispose();
        _buffer = _rented = bigger;
    }
}
