using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Aws.Signing;

/// <summary>Derives signing keys (one a day, region and service from each secret) and remembers a bounded number of them.</summary>
internal sealed class SigningKeys(int capacity = 4096)
{
    private readonly ConcurrentDictionary<Scope, byte[]> _derived = new();

    /// <summary>The key of a scope, from memory if it is there.</summary>
    public byte[] Get(string secret, string date, string region, string service, out bool remembered)
    {
        remembered = _derived.TryGetValue(new(secret, date, region, service), out var key);
        return key ?? Derive(secret, date, region, service);
    }

    /// <summary>
    /// Remembers a key. The verifier calls it only after a signature was valid, so that nobody without a secret can push
    /// keys in use out.
    /// </summary>
    public void Remember(string secret, string date, string region, string service, byte[] key)
    {
        if (_derived.Count >= capacity)
        {
            // Keys are dead after their day; starting afresh costs four hashes for each one in use.
            _derived.Clear();
        }

        _derived[new(secret, date, region, service)] = key;
    }

    public static byte[] Derive(string secret, string date, string region, string service)
    {
        var key = HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secret), Encoding.UTF8.GetBytes(date));
        key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(region));
        key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(service));
        return HMACSHA256.HashData(key, "aws4_request"u8);
    }

    /// <summary>Writes the signature of a canonical request, 64 digits of lower-case hex.</summary>
    public static void Sign(ReadOnlySpan<byte> key, ReadOnlySpan<byte> canonicalRequest, string time, string date, string region, string service, Span<byte> signature)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(canonicalRequest, hash);
        using var text = new Utf8Builder(stackalloc byte[512]);
        text.Append("AWS4-HMAC-SHA256\n"u8);
        text.Append(time);
        text.Append((byte)'\n');
        text.Append(date);
        text.Append((byte)'/');
        text.Append(region);
        text.Append((byte)'/');
        text.Append(service);
        text.Append("/aws4_request\n"u8);
        text.AppendHex(hash);
        HMACSHA256.HashData(key, text.Written, hash);
        Convert.TryToHexStringLower(hash, signature, out _);
    }

    private readonly record struct Scope(string Secret, string Date, string Region, string Service);
}
