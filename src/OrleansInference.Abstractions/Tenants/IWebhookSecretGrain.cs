namespace OrleansInference;

/// <summary>The secrets under which a tenant's webhooks are signed now, encrypted with the deployment's master key.</summary>
[GenerateSerializer, Immutable, Alias("oi.WebhookSecretRecord")]
public sealed record WebhookSecretRecord
{
    /// <summary>The secret of the last rotation.</summary>
    [Id(0)] public required ReadOnlyMemory<byte> Current { get; init; }

    /// <summary>The one before, as long as it is still good; empty: none is.</summary>
    [Id(1)] public ReadOnlyMemory<byte> Previous { get; init; }

    /// <summary>Unix ms until which <see cref="Previous"/> is good.</summary>
    [Id(2)] public long PreviousUntil { get; init; }
}

/// <summary>A tenant's webhook secrets. Key: the tenant id. Every change is durable before it is answered.</summary>
[Alias("oi.IWebhookSecretGrain")]
public interface IWebhookSecretGrain : IGrainWithStringKey
{
    /// <summary>The secrets that are good now; null if there are none.</summary>
    [Alias("Get")] Task<WebhookSecretRecord?> Get();

    /// <summary>Puts a new secret in force; the present one stays good beside it for <paramref name="overlap"/>, and one that was before it ends.</summary>
    [Alias("Rotate")] Task<WebhookSecretRecord> Rotate(ReadOnlyMemory<byte> encrypted, TimeSpan overlap);

    /// <summary>Takes every secret away: nothing more can be signed.</summary>
    [Alias("Remove")] Task Remove();
}
