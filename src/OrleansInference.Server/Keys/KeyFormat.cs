using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Keys;

/// <summary>
/// How issued keys look. An access key id is <c>OI</c>, eleven random characters, and seven that authenticate them under the master
/// key: an id that was never issued is told from an issued one without asking storage, so guessing ids costs the cluster nothing.
/// An API key is <c>oi_{access key id}_{secret}</c>.
/// </summary>
internal sealed class KeyFormat(MasterKey masterKey)
{
    public const int AccessKeyIdLength = 20;
    public const int SecretLength = 40;
    private const string Prefix = "OI";
    private const int RandomLength = 11;
    private const int TagLength = AccessKeyIdLength - RandomLength - 2;
    private const string ApiKeyPrefix = "oi_";
    private const string Base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    private const string Base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    public string NewAccessKeyId()
    {
        var head = Prefix + RandomNumberGenerator.GetString(Base32, RandomLength);
        return head + Tag(head);
    }

    public static string NewSecret() => RandomNumberGenerator.GetString(Base62, SecretLength);

    public static string ApiKey(string accessKeyId, string secret) => $"{ApiKeyPrefix}{accessKeyId}_{secret}";

    /// <summary>Whether an access key id is one that was issued under this master key.</summary>
    public bool IsIssued([NotNullWhen(true)] string? accessKeyId)
    {
        if (accessKeyId is not { Length: AccessKeyIdLength } || !accessKeyId.StartsWith(Prefix, StringComparison.Ordinal) || !Ascii.IsValid(accessKeyId))
        {
            return false;
        }

        var head = accessKeyId[..(AccessKeyIdLength - TagLength)];
        return CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(accessKeyId[head.Length..]), Encoding.ASCII.GetBytes(Tag(head)));
    }

    /// <summary>Takes an API key apart; false if it does not have the form of one.</summary>
    public static bool TrySplit(ReadOnlySpan<char> apiKey, out string accessKeyId, out ReadOnlySpan<char> secret)
    {
        accessKeyId = "";
        secret = default;
        if (apiKey.Length != ApiKeyPrefix.Length + AccessKeyIdLength + 1 + SecretLength || !apiKey.StartsWith(ApiKeyPrefix, StringComparison.Ordinal)
            || apiKey[ApiKeyPrefix.Length + AccessKeyIdLength] != '_')
        {
            return false;
        }

        accessKeyId = apiKey.Slice(ApiKeyPrefix.Length, AccessKeyIdLength).ToString();
        secret = apiKey[^SecretLength..];
        return true;
    }

    private string Tag(string head)
    {
        Span<byte> mac = stackalloc byte[HMACSHA256.HashSizeInBytes];
        masterKey.Authenticate(Encoding.ASCII.GetBytes(head), mac);
        return string.Create(TagLength, mac.ToArray(), static (text, bytes) =>
        {
            for (var i = 0; i < text.Length; i++)
            {
                text[i] = Base32[bytes[i] & 31];
            }
        });
    }
}
