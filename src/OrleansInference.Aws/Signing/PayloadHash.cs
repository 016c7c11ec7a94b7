using System.Security.Cryptography;

namespace OrleansInference.Aws.Signing;

/// <summary>What a canonical request says of its body: a SHA-256 in lower-case hex, or one of AWS's words.</summary>
public static class PayloadHash
{
    /// <summary>The SHA-256 of nothing.</summary>
    public const string Empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// <summary>The body is not covered by the signature.</summary>
    public const string Unsigned = "UNSIGNED-PAYLOAD";

    /// <summary>Beginning of the words that say the body is signed chunk by chunk (S3).</summary>
    internal const string StreamingPrefix = "STREAMING-";

    /// <summary>The SHA-256 of a body in lower-case hex.</summary>
    public static string Of(ReadOnlySpan<byte> body)
    {
        if (body.IsEmpty)
        {
            return Empty;
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(body, hash);
        return Convert.ToHexStringLower(hash);
    }
}
