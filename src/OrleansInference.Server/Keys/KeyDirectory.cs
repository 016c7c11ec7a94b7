using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

namespace OrleansInference.Keys;

/// <summary>An issued key that is good now.</summary>
/// <param name="AccessKeyId">Its id.</param>
/// <param name="Tenant">Whose it is.</param>
/// <param name="ApiKeyHash">SHA-256 of the API key's secret part.</param>
/// <param name="SecretAccessKey">The SigV4 secret.</param>
internal sealed record ActiveKey(string AccessKeyId, TenantId Tenant, ReadOnlyMemory<byte> ApiKeyHash, string SecretAccessKey)
{
    // Keeps the secret out of whatever prints the record.
    public override string ToString() => $"{AccessKeyId} of {Tenant}";
}

/// <summary>Issues, finds and revokes keys. What it knows of a key it trusts for seconds, so that no request waits for a grain but the first.</summary>
internal sealed class KeyDirectory(IKeyStore store, KeyFormat format, MasterKey masterKey, TimeProvider time, TimeSpan lifetime, ILogger<KeyDirectory> logger)
{
    private const int Capacity = 10_000;
    private readonly ConcurrentDictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>Makes a key pair and an API key for a tenant; the only moment at which the secrets are seen.</summary>
    public async Task<IssuedKey> IssueAsync(TenantId tenant)
    {
        var id = format.NewAccessKeyId();
        var secret = KeyFormat.NewSecret();
        var apiSecret = KeyFormat.NewSecret();
        await store.PutAsync(id, new()
        {
            Tenant = tenant,
            ApiKeyHash = Hash(apiSecret),
            EncryptedSecret = masterKey.Encrypt(secret, Owner(id, tenant)),
        });
        _entries.TryRemove(id, out _);
        return new() { Tenant = tenant, AccessKeyId = id, SecretAccessKey = secret, ApiKey = KeyFormat.ApiKey(id, apiSecret) };
    }

    /// <summary>Makes a key useless: at once on this silo, within the cache's lifetime on others. False if there is none.</summary>
    public async Task<bool> RevokeAsync(string accessKeyId)
    {
        if (!format.IsIssued(accessKeyId) || await store.GetAsync(accessKeyId) is null)
        {
            return false;
        }

        await store.RevokeAsync(accessKeyId);
        _entries.TryRemove(accessKeyId, out _);
        return true;
    }

    /// <summary>The key; null if it was never issued or is revoked.</summary>
    public ValueTask<ActiveKey?> FindAsync(string accessKeyId)
    {
        if (!format.IsIssued(accessKeyId))
        {
            return new((ActiveKey?)null);
        }

        return _entries.TryGetValue(accessKeyId, out var entry) && time.GetTimestamp() < entry.GoodUntil ? new(entry.Key) : new(LoadAsync(accessKeyId));
    }

    /// <summary>The key behind an API key; null if the API key is not good.</summary>
    public async ValueTask<ActiveKey?> FindByApiKeyAsync(string apiKey)
    {
        if (!KeyFormat.TrySplit(apiKey, out var id, out var secret))
        {
            return null;
        }

        var hash = Hash(secret);
        var key = await FindAsync(id);
        return key is not null && CryptographicOperations.FixedTimeEquals(hash, key.ApiKeyHash.Span) ? key : null;
    }

    private async Task<ActiveKey?> LoadAsync(string accessKeyId)
    {
        var record = await store.GetAsync(accessKeyId);
        ActiveKey? key = null;
        if (record is { Revoked: false })
        {
            if (masterKey.Decrypt(record.EncryptedSecret.Span, Owner(accessKeyId, record.Tenant)) is { } secret)
            {
                key = new(accessKeyId, record.Tenant, record.ApiKeyHash, secret);
            }
            else
            {
                logger.SecretUnreadable(accessKeyId);
            }
        }

        if (_entries.Count >= Capacity)
        {
            // Losing the cache costs a grain call a key; keeping order would cost every request.
            _entries.Clear();
        }

        _entries[accessKeyId] = new(key, time.GetTimestamp() + (long)(lifetime.TotalSeconds * time.TimestampFrequency));
        return key;
    }

    private static string Owner(string accessKeyId, TenantId tenant) => $"{accessKeyId}/{tenant}";

    private static byte[] Hash(ReadOnlySpan<char> secret)
    {
        Span<byte> bytes = stackalloc byte[KeyFormat.SecretLength * 4];
        return SHA256.HashData(bytes[..Encoding.UTF8.GetBytes(secret, bytes)]);
    }

    private sealed record Entry(ActiveKey? Key, long GoodUntil);
}

internal static partial class KeyDirectoryLog
{
    [LoggerMessage(1, LogLevel.Error, "The secret of access key {AccessKeyId} cannot be decrypted: the master key is not the one it was issued under. Restore that key, or issue a new pair.")]
    public static partial void SecretUnreadable(this ILogger logger, string accessKeyId);
}
