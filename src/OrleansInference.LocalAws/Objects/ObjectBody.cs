using System.Buffers;
using System.IO.Hashing;
using System.Security.Cryptography;

namespace OrleansInference.LocalAws.Objects;

/// <summary>A body that has arrived but belongs to no object yet: small ones as bytes, large ones in a file.</summary>
internal sealed class ObjectBody
{
    /// <summary>Larger bodies go to a file of their own.</summary>
    public const int MaxInline = 64 << 10;

    private ObjectBody(byte[]? bytes, string? file, long size, byte[] md5, byte[] sha256, byte[] crc32)
    {
        Bytes = bytes;
        File = file;
        Size = size;
        Md5 = md5;
        Sha256 = sha256;
        Crc32 = crc32;
    }

    public byte[]? Bytes { get; }

    public string? File { get; }

    public long Size { get; }

    public byte[] Md5 { get; }

    public byte[] Sha256 { get; }

    /// <summary>Big-endian, as S3 writes it.</summary>
    public byte[] Crc32 { get; }

    public string ETag => $"\"{Convert.ToHexStringLower(Md5)}\"";

    /// <summary>Takes bytes that are at hand.</summary>
    public static async Task<ObjectBody> OfAsync(ReadOnlyMemory<byte> bytes, IBodyFiles files, CancellationToken cancellationToken)
    {
        using var source = new MemoryStream(bytes.ToArray());
        return await ReadAsync(source, long.MaxValue, files, cancellationToken) ?? throw new InvalidOperationException("A body without limit cannot be too large.");
    }

    /// <summary>Reads a body to its end; null if it is larger than <paramref name="limit"/>.</summary>
    public static async Task<ObjectBody?> ReadAsync(Stream source, long limit, IBodyFiles files, CancellationToken cancellationToken)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var crc32 = new Crc32();
        var inline = new ArrayBufferWriter<byte>();
        Stream? file = null;
        string? name = null;
        var size = 0L;
        var done = false;
        var buffer = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            while (await source.ReadAsync(buffer, cancellationToken) is var read and > 0)
            {
                size += read;
                if (size > limit)
                {
                    return null;
                }

                md5.AppendData(buffer, 0, read);
                sha256.AppendData(buffer, 0, read);
                crc32.Append(buffer.AsSpan(0, read));
                if (file is null && size > MaxInline)
                {
                    file = files.Create(out name);
                    await file.WriteAsync(inline.WrittenMemory, cancellationToken);
                }

                if (file is null)
                {
                    inline.Write(buffer.AsSpan(0, read));
                }
                else
                {
                    await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                }
            }

            if (file is not null)
            {
                await file.FlushAsync(cancellationToken);
            }

            var crc = crc32.GetCurrentHash();
            Array.Reverse(crc);
            done = true;
            return new(name is null ? inline.WrittenSpan.ToArray() : null, name, size, md5.GetHashAndReset(), sha256.GetHashAndReset(), crc);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            if (file is not null and not MemoryStream)
            {
                await file.DisposeAsync();
            }

            if (!done && name is not null)
            {
                files.Delete(name);
            }
        }
    }

    /// <summary>Drops a body that will belong to no object.</summary>
    public void Drop(IBodyFiles files)
    {
        if (File is not null)
        {
            files.Delete(File);
        }
    }
}
