using System.Security.Cryptography;

namespace OrleansInference.FrontDoor;

/// <summary>A body that is read bit by bit and must have the hash that its caller has signed: whoever reads to its end is told if it has another.</summary>
/// <param name="body">The body.</param>
/// <param name="sha256">The hash that it must have, 32 bytes.</param>
internal sealed class HashedBody(Stream body, byte[] sha256) : Stream
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

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
        var read = await body.ReadAsync(buffer, cancellationToken);
        if (read > 0)
        {
            _hash.AppendData(buffer.Span[..read]);
        }
        else if (buffer.Length > 0 && !CryptographicOperations.FixedTimeEquals(_hash.GetCurrentHash(), sha256))
        {
            throw new RefusedException(new(ProblemTable.Signature, "InvalidSignature", "The body is not the one whose SHA-256 was signed in X-Amz-Content-Sha256."));
        }

        return read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _hash.Dispose();
        base.Dispose(disposing);
    }
}
