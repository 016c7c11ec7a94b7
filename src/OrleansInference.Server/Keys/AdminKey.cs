using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Keys;

/// <summary>The key of the admin API; only its hash is kept.</summary>
internal sealed class AdminKey(string key)
{
    public const int MinLength = 20;
    private readonly byte[] _hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));

    public static string New() => "oi_admin_" + RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 43);

    public bool Matches(string presented) => CryptographicOperations.FixedTimeEquals(_hash, SHA256.HashData(Encoding.UTF8.GetBytes(presented)));
}
