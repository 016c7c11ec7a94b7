using System.Collections.Concurrent;
using System.Security.Cryptography;
using OrleansInference.Keys;

namespace OrleansInference.Webhooks;

/// <summary>A webhook secret, shown once when it is made.</summary>
/// <param name="Tenant">Whose it is.</param>
/// <param name="Secret">The secret, in the form of the Standard Webhooks specification.</param>
/// <param name="PreviousUntil">Until when the one before is good beside it; null if none is.</param>
internal sealed record IssuedWebhookSecret(TenantId Tenant, string Secret, DateTimeOffset? PreviousUntil)
{
    // Keeps the secret out of whatever prints the record.
    public override string ToString() => $"webhook secret of {Tenant}";
}

/// <summary>Makes, finds and takes away the secrets of webhooks. What it knows it trusts for seconds, so that no post waits for a grain but the first.</summary>
internal sealed class WebhookSecrets(IGrainFactory grains, MasterKey masterKey, TimeProvider time, TimeSpan lifetime, ILogger<WebhookSecrets> logger)
{
    public static readonly TimeSpan DefaultOverlap = TimeSpan.FromHours(24);
    public static readonly TimeSpan LongestOverlap = TimeSpan.FromDays(30);

    private const int Capacity = 10_000;
    private readonly ConcurrentDictionary<TenantId, Entry> _entries = new();

    /// <summary>Puts a new secret in force; the only moment at which it is seen.</summary>
    public async Task<IssuedWebhookSecret> RotateAsync(TenantId tenant, TimeSpan overlap)
    {
        var secret = WebhookSignature.ToSecret(RandomNumberGenerator.GetBytes(WebhookSignature.KeyLength));
        var record = await GrainOf(tenant).Rotate(masterKey.Encrypt(secret, Owner(tenant)), overlap);
        _entries.TryRemove(tenant, out _);
        return new(tenant, secret, record.Previous.IsEmpty ? null : DateTimeOffset.FromUnixTimeMilliseconds(record.PreviousUntil));
    }

    /// <summary>Takes a tenant's secrets away: at once on this silo, within the cache's lifetime on others.</summary>
    public async Task RemoveAsync(TenantId tenant)
    {
        await GrainOf(tenant).Remove();
        _entries.TryRemove(tenant, out _);
    }

    /// <summary>The secrets that are good now, the newest first; empty if there are none.</summary>
    public ValueTask<IReadOnlyList<string>> GetAsync(TenantId tenant) =>
        _entries.TryGetValue(tenant, out var entry) && time.GetTimestamp() < entry.GoodUntil ? new(entry.Secrets) : new(LoadAsync(tenant));

    private async Task<IReadOnlyList<string>> LoadAsync(TenantId tenant)
    {
        var secrets = new List<string>();
        if (await GrainOf(tenant).Get() is { } record)
        {
            foreach (var encrypted in (ReadOnlyMemory<byte>[])[record.Current, record.Previous])
            {
                if (encrypted.IsEmpty)
                {
                    continue;
                }

                if (masterKey.Decrypt(encrypted.Span, Owner(tenant)) is { } secret)
                {
                    secrets.Add(secret);
                }
                else
                {
                    logger.SecretUnreadable(tenant);
                }
            }
        }

        if (_entries.Count >= Capacity)
        {
            _entries.Clear();
        }

        _entries[tenant] = new(secrets, time.GetTimestamp() + (long)(lifetime.TotalSeconds * time.TimestampFrequency));
        return secrets;
    }

    private IWebhookSecretGrain GrainOf(TenantId tenant) => grains.GetGrain<IWebhookSecretGrain>(tenant.Value);

    // No access key's owner looks like this: their ids have no such form.
    private static string Owner(TenantId tenant) => $"webhook/{tenant}";

    private sealed record Entry(IReadOnlyList<string> Secrets, long GoodUntil);
}

internal static partial class WebhookSecretsLog
{
    [LoggerMessage(1, LogLevel.Error, "A webhook secret of tenant {Tenant} cannot be decrypted: the master key is not the one it was made under. Restore that key, or rotate the secret.")]
    public static partial void SecretUnreadable(this ILogger logger, TenantId tenant);
}
