using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Webhooks;

/// <summary>Signatures of webhooks by the Standard Webhooks specification, https://www.standardwebhooks.com, symmetric scheme <c>v1</c>.</summary>
public static class WebhookSignature
{
    /// <summary>Header of the message's id: the same one however often it is sent.</summary>
    public const string IdHeader = "webhook-id";

    /// <summary>Header of the Unix seconds at which it was sent.</summary>
    public const string TimestampHeader = "webhook-timestamp";

    /// <summary>Header of its signatures, separated by spaces.</summary>
    public const string SignatureHeader = "webhook-signature";

    /// <summary>Bytes of a secret's key; the specification asks for 24 to 64.</summary>
    public const int KeyLength = 32;

    private const string SecretPrefix = "whsec_";
    private const string Version = "v1,";

    /// <summary>A key as it is handed out.</summary>
    public static string ToSecret(ReadOnlySpan<byte> key) => SecretPrefix + Convert.ToBase64String(key);

    /// <summary>The key of a secret; null if it is none.</summary>
    public static byte[]? KeyOf(string secret)
    {
        ArgumentNullException.ThrowIfNull(secret);
        if (!secret.StartsWith(SecretPrefix, StringComparison.Ordinal))
        {
            return null;
        }

        var key = new byte[secret.Length];
        return Convert.TryFromBase64String(secret[SecretPrefix.Length..], key, out var length) && length is >= 24 and <= 64 ? key[..length] : null;
    }

    /// <summary>The value of <see cref="SignatureHeader"/>: a signature for each of the secrets that are good now.</summary>
    /// <param name="secrets">Secrets as <see cref="ToSecret"/> gives them.</param>
    /// <param name="id">The message's id; without a dot, which separates what is signed.</param>
    /// <param name="timestamp">Unix seconds.</param>
    /// <param name="body">The body as it is sent.</param>
    /// <exception cref="ArgumentException">A secret is none, or the id has a dot.</exception>
    public static string Sign(IEnumerable<string> secrets, string id, long timestamp, ReadOnlySpan<byte> body)
    {
        ArgumentNullException.ThrowIfNull(secrets);
        ArgumentNullException.ThrowIfNull(id);
        if (id.Contains('.', StringComparison.Ordinal))
        {
            throw new ArgumentException("An id with a dot could be taken for another id and time.", nameof(id));
        }

        byte[] content = [.. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{timestamp}.")), .. body];
        return string.Join(' ', secrets.Select(secret =>
        {
            var key = KeyOf(secret) ?? throw new ArgumentException("It is no secret of a webhook.", nameof(secrets));
            return Version + Convert.ToBase64String(HMACSHA256.HashData(key, content));
        }));
    }
}
