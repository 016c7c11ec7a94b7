using OrleansInference.Hosting;

namespace OrleansInference.Tenants;

/// <summary>What a tenant's webhook secrets' grain stores.</summary>
public sealed record WebhookSecretState
{
    /// <summary>The secrets; null if there are none.</summary>
    public WebhookSecretRecord? Record { get; init; }
}

/// <summary>A tenant's webhook secrets.</summary>
internal sealed class WebhookSecretGrain(
    [PersistentState("webhook-secret", OrleansInferenceOptions.StorageName)] IPersistentState<WebhookSecretState> storage,
    RouterClock clock) : Grain, IWebhookSecretGrain
{
    public Task<WebhookSecretRecord?> Get()
    {
        var record = storage.State.Record;
        return Task.FromResult(record is { Previous.IsEmpty: false } && record.PreviousUntil <= clock.Now ? record with { Previous = default } : record);
    }

    public async Task<WebhookSecretRecord> Rotate(ReadOnlyMemory<byte> encrypted, TimeSpan overlap)
    {
        if (encrypted.IsEmpty)
        {
            throw new ArgumentException("There is no secret.", nameof(encrypted));
        }

        var until = clock.Now + (long)Math.Max(0, overlap.TotalMilliseconds);
        var record = new WebhookSecretRecord { Current = encrypted };
        await WriteAsync(storage.State.Record is { } before && overlap > TimeSpan.Zero ? record with { Previous = before.Current, PreviousUntil = until } : record);
        return storage.State.Record!;
    }

    public Task Remove() => storage.State.Record is null ? Task.CompletedTask : WriteAsync(null);

    private async Task WriteAsync(WebhookSecretRecord? record)
    {
        storage.State = new() { Record = record };
        try
        {
            await storage.WriteStateAsync();
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }
    }
}
