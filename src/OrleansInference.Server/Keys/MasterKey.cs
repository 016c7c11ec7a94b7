using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Keys;

/// <summary>The deployment's master key. Derived from it (HKDF, RFC 5869) are the key that encrypts issued secrets, the one that authenticates key ids, and its fingerprint.</summary>
internal sealed class MasterKey : IDisposable
{
    public const int Length = 32;
    private const int NonceLength = 12;
    private const int TagLength = 16;
    private const int FingerprintLength = 16;
    private readonly AesGcm _cipher;
    private readonly byte[] _authentication;

    public MasterKey(byte[] key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, Length);
        _cipher = new(HKDF.DeriveKey(HashAlgorithmName.SHA256, key, 32, info: "orleans-inference/secrets"u8.ToArray()), TagLength);
        _authentication = HKDF.DeriveKey(HashAlgorithmName.SHA256, key, 32, info: "orleans-inference/key-ids"u8.ToArray());
        Fingerprint = Convert.ToHexString(HKDF.DeriveKey(HashAlgorithmName.SHA256, key, FingerprintLength, info: "orleans-inference/fingerprint"u8.ToArray()));
    }

    /// <summary>Tells it from other keys, 32 hexadecimal digits, and says nothing else of it.</summary>
    public string Fingerprint { get; }

    /// <summary>HMAC-SHA-256 of <paramref name="text"/>.</summary>
    public void Authenticate(ReadOnlySpan<byte> text, Span<byte> mac) => HMACSHA256.HashData(_authentication, text, mac);

    /// <summary>AES-256-GCM: nonce, ciphertext, tag. The owner is bound to it, so a record cannot be moved to another key or tenant.</summary>
    public byte[] Encrypt(string secret, string owner)
    {
        var plain = Encoding.UTF8.GetBytes(secret);
        var sealedSecret = new byte[NonceLength + plain.Length + TagLength];
        RandomNumberGenerator.Fill(sealedSecret.AsSpan(0, NonceLength));
        lock (_cipher)
        {
            _cipher.Encrypt(sealedSecret.AsSpan(0, NonceLength), plain, sealedSecret.AsSpan(NonceLength, plain.Length), sealedSecret.AsSpan(NonceLength + plain.Length), Encoding.UTF8.GetBytes(owner));
        }

        CryptographicOperations.ZeroMemory(plain);
        return sealedSecret;
    }

    /// <summary>The secret; null if it was encrypted under another master key, for another owner, or was tampered with.</summary>
    public string? Decrypt(ReadOnlySpan<byte> sealedSecret, string owner)
    {
        if (sealedSecret.Length < NonceLength + TagLength)
        {
            return null;
        }

        var plain = new byte[sealedSecret.Length - NonceLength - TagLength];
        try
        {
            lock (_cipher)
            {
                _cipher.Decrypt(sealedSecret[..NonceLength], sealedSecret[NonceLength..^TagLength], sealedSecret[^TagLength..], plain, Encoding.UTF8.GetBytes(owner));
            }

            return Encoding.UTF8.GetString(plain);
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    public void Dispose() => _cipher.Dispose();
}
