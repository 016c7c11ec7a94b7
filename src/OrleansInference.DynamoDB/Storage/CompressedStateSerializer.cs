using System.IO.Compression;
using Orleans.Storage;

namespace OrleansInference.DynamoDB;

/// <summary>
/// Compresses what another serializer makes (gzip), where that is worth it: DynamoDB bills by the kilobyte and takes 400 of them. What was stored without compression is read as it is;
/// that other serializer must not begin with the two bytes that gzip does, as text and JSON never do.
/// </summary>
/// <param name="inner">Makes the bytes.</param>
/// <param name="mostBytes">Most bytes that are unpacked.</param>
public sealed class CompressedStateSerializer(IGrainStorageSerializer inner, int mostBytes = 64 << 20) : IGrainStorageSerializer
{
    // Below it is one unit of writing anyway.
    private const int WorthBytes = 900;

    /// <inheritdoc/>
    public BinaryData Serialize<T>(T? input)
    {
        var plain = inner.Serialize(input);
        if (plain.ToMemory().Length < WorthBytes)
        {
            return plain;
        }

        using var packed = new MemoryStream(plain.ToMemory().Length / 4);
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(plain.ToMemory().Span);
        }

        return packed.Length < plain.ToMemory().Length ? new(packed.ToArray()) : plain;
    }

    /// <inheritdoc/>
    public T? Deserialize<T>(BinaryData input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.ToMemory().Span is not [0x1f, 0x8b, ..])
        {
            return inner.Deserialize<T>(input);
        }

        using var gzip = new GZipStream(input.ToStream(), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        var buffer = new byte[81_920];
        for (int read; (read = gzip.Read(buffer)) > 0;)
        {
            plain.Write(buffer, 0, read);
            if (plain.Length > mostBytes)
            {
                throw new InvalidDataException($"State of more than {mostBytes} bytes is not unpacked.");
            }
        }

        return inner.Deserialize<T>(new(plain.ToArray()));
    }
}
