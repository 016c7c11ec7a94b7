using OrleansInference.Hosting;

namespace OrleansInference.Tenants;

/// <summary>What a key's grain stores.</summary>
public sealed record KeyGrainState
{
    /// <summary>The key; null if there is none.</summary>
    public KeyRecord? Record { get; init; }
}

/// <summary>One issued key.</summary>
internal sealed class KeyGrain(
    [PersistentState("key", OrleansInferenceOptions.StorageName)] IPersistentState<KeyGrainState> storage) : Grain, IKeyGrain
{
    public async Task Put(KeyRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (storage.State.Record is { } taken)
        {
            var isSame = taken.Tenant == record.Tenant && taken.ApiKeyHash.Span.SequenceEqual(record.ApiKeyHash.Span) && !taken.Revoked;
            if (!isSame)
            {
                throw new InvalidOperationException($"Access key id '{this.GetPrimaryKeyString()}' is taken; issue another.");
            }

            return;
        }

        await WriteAsync(record);
    }

    public Task<KeyRecord?> Get()
    {
        if (storage.State.Record is null)
        {
            // Ids that nobody issued are asked for by whoever guesses; they should not stay in memory.
            DeactivateOnIdle();
        }

        return Task.FromResult(storage.State.Record);
    }

    public Task Revoke() => storage.State.Record is { Revoked: false } record ? WriteAsync(record with { Revoked = true }) : Task.CompletedTask;

    private async Task WriteAsync(KeyRecord record)
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
