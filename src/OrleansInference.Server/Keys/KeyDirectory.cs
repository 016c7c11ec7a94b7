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

/// <summary>
/// Issues, finds and revokes keys. What it knows of a key it trusts for seconds, so that no request waits for a grain but the first. Should the
/// key's grain be out of reach then, as while its silo is being declared dead, a key that was good goes on being so for <see cref="Unreached"/>.
/// </summary>
internal sealed class KeyDirectory(IKeyStore store, KeyFormat format, MasterKey masterKey, TimeProvider time, TimeSpan lifetime, ILogger<KeyDirectory> logger)
{
    /// <summary>How long beyond its lifetime a key that was good is trusted while its grain cannot be reached.</summary>
    public static readonly TimeSpan Unreached = TimeSpan.FromMinutes(1);

    /// <summary>How long a key that nothing is known of is asked for again while its grain cannot be reached.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>How long a request with a key that was good waits for word of it.</summary>
    public static readonly TimeSpan Overdue = TimeSpan.FromMilliseconds(500);

    private const int Capacity = 10_000;
    private static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan BetweenLooks = TimeSpan.FromSeconds(1);
    private readonly ConcurrentDictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Task<ActiveKey?>> _looks = new(StringComparer.Ordinal);

    /// <summary>Makes a key pair and an API key for a tenant; the only moment at which the secrets are seen.</summary>
    public async Task<IssuedKey> IssueAsync(TenantId tenant)
    {
        var id = format.NewAccessKeyId();
        var secret = KeyFormat.NewSecret();
        var apiSecret = KeyFormat.NewSecret();
        var record = new KeyRecord
        {
            Tenant = tenant,
            ApiKeyHash = Hash(apiSecret),
            EncryptedSecret = masterKey.Encrypt(secret, Owner(id, tenant)),
        };
        await ReachAsync(async () =>
        {
            await store.PutAsync(id, record);
            return true;
        });
        _entries.TryRemove(id, out _);
        return new() { Tenant = tenant, AccessKeyId = id, SecretAccessKey = secret, ApiKey = KeyFormat.ApiKey(id, apiSecret) };
    }

    /// <summary>Makes a key useless: at once on this silo, within the cache's lifetime on others, <see cref="Unreached"/> later on those that cannot reach its grain. False if there is none.</summary>
    public async Task<bool> RevokeAsync(string accessKeyId)
    {
        var isRevoked = format.IsIssued(accessKeyId) && await ReachAsync(async () =>
        {
            if (await store.GetAsync(accessKeyId) is null)
            {
                return false;
            }

            await store.RevokeAsync(accessKeyId);
            return true;
        });
        if (isRevoked)
        {
            Keep(accessKeyId, null, isRevoked: true);
        }

        return isRevoked;
    }

    /// <summary>The key; null if it was never issued or is revoked.</summary>
    public ValueTask<ActiveKey?> FindAsync(string accessKeyId)
    {
        if (!format.IsIssued(accessKeyId))
        {
            return new((ActiveKey?)null);
        }

        return _entries.TryGetValue(accessKeyId, out var entry) && (time.GetTimestamp() < entry.GoodUntil || entry.IsRevoked) ? new(entry.Key) : new(LookAsync(accessKeyId, entry));
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

    private async Task<ActiveKey?> LookAsync(string accessKeyId, Entry? known)
    {
        var looking = Look(accessKeyId);
        if (known?.Key is null || time.GetTimestamp() >= known.TrustedUntil)
        {
            return await looking;
        }

        try
        {
            return await looking.WaitAsync(known.IsUnreached ? TimeSpan.Zero : Overdue, time);
        }
        catch (Exception exception)
        {
            // Who comes next does not wait, until there is word of the key; the look goes on, or another is made in a moment.
            var next = known with { GoodUntil = Math.Min(known.TrustedUntil, After(BetweenLooks)), IsUnreached = true };
            if (_entries.TryUpdate(accessKeyId, next, known) && !known.IsUnreached)
            {
                logger.KeyUnreached(accessKeyId, exception.Message);
            }

            // Word that came in this very moment counts.
            return _entries.TryGetValue(accessKeyId, out var entry) ? entry.Key : known.Key;
        }
    }

    /// <summary>The look for the key that is under way, or a new one: many requests come with one key.</summary>
    private Task<ActiveKey?> Look(string accessKeyId)
    {
        var look = new TaskCompletionSource<ActiveKey?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var looking = _looks.GetOrAdd(accessKeyId, look.Task);
        if (looking == look.Task)
        {
            _ = RunAsync();
        }

        return looking;

        async Task RunAsync()
        {
            var loading = LoadAsync(accessKeyId);
            await ((Task)loading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _looks.TryRemove(accessKeyId, out _);
            look.SetFromTask(loading);
            look.Task.Ignore();
        }
    }

    private async Task<ActiveKey?> LoadAsync(string accessKeyId)
    {
        var record = await ReachAsync(() => store.GetAsync(accessKeyId));
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

        return Keep(accessKeyId, key, record is { Revoked: true });
    }

    /// <summary>Takes note of what was heard of a key, and answers what holds: what was revoked stays so, for an answer may have left before.</summary>
    private ActiveKey? Keep(string accessKeyId, ActiveKey? key, bool isRevoked)
    {
        if (_entries.Count >= Capacity)
        {
            // Losing the cache costs a grain call a key; keeping order would cost every request.
            _entries.Clear();
        }

        var heard = new Entry(key, After(lifetime), After(lifetime + Unreached), isRevoked);
        return _entries.AddOrUpdate(accessKeyId, static (_, heard) => heard, static (_, known, heard) => known.IsRevoked ? known : heard, heard).Key;
    }

    /// <summary>Asks the store, again for a while, and once at least, if the grain cannot be reached: all that is asked of it may be asked twice.</summary>
    private async Task<T> ReachAsync<T>(Func<Task<T>> ask)
    {
        var began = time.GetTimestamp();
        for (var tries = 1; ; tries++)
        {
            try
            {
                return await ask();
            }
            catch (Exception exception) when (exception is Orleans.Runtime.OrleansException or TimeoutException && (tries == 1 || time.GetElapsedTime(began) < Patience))
            {
                await Task.Delay(BetweenTries, time);
            }
        }
    }

    private long After(TimeSpan span) => time.GetTimestamp() + (long)(span.TotalSeconds * time.TimestampFrequency);

    private static string Owner(string accessKeyId, TenantId tenant) => $"{accessKeyId}/{tenant}";

    private static byte[] Hash(ReadOnlySpan<char> secret)
    {
        Span<byte> bytes = stackalloc byte[KeyFormat.SecretLength * 4];
        return SHA256.HashData(bytes[..Encoding.UTF8.GetBytes(secret, bytes)]);
    }

    /// <summary>What was last heard of a key.</summary>
    /// <param name="Key">The key; null if it is not good.</param>
    /// <param name="GoodUntil">Timestamp until which nobody is asked.</param>
    /// <param name="TrustedUntil">Timestamp until which it holds while nobody can be asked.</param>
    /// <param name="IsRevoked">Whether it was revoked, which nothing undoes.</param>
    /// <param name="IsUnreached">Whether nobody could be asked when it was to be asked for last.</param>
    private sealed record Entry(ActiveKey? Key, long GoodUntil, long TrustedUntil, bool IsRevoked, bool IsUnreached = false);
}

internal static partial class KeyDirectoryLog
{
    [LoggerMessage(1, LogLevel.Error, "The secret of access key {AccessKeyId} cannot be decrypted: the master key is not the one it was issued under. Restore that key, or issue a new pair.")]
    public static partial void SecretUnreadable(this ILogger logger, string accessKeyId);

    [LoggerMessage(2, LogLevel.Information, "Access key {AccessKeyId} cannot be looked up now and is taken as it was last known: {Why}")]
    public static partial void KeyUnreached(this ILogger logger, string accessKeyId, string why);
}
