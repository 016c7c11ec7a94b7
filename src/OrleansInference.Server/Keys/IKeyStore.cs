namespace OrleansInference.Keys;

/// <summary>Where key records are durable.</summary>
internal interface IKeyStore
{
    /// <summary>Stores a new key.</summary>
    Task PutAsync(string accessKeyId, KeyRecord record);

    /// <summary>The key; null if there is none.</summary>
    Task<KeyRecord?> GetAsync(string accessKeyId);

    /// <summary>Makes the key useless.</summary>
    Task RevokeAsync(string accessKeyId);
}

/// <summary>Key records in their grains.</summary>
internal sealed class GrainKeyStore(IGrainFactory grains) : IKeyStore
{
    public Task PutAsync(string accessKeyId, KeyRecord record) => grains.GetGrain<IKeyGrain>(accessKeyId).Put(record);

    public Task<KeyRecord?> GetAsync(string accessKeyId) => grains.GetGrain<IKeyGrain>(accessKeyId).Get();

    public Task RevokeAsync(string accessKeyId) => grains.GetGrain<IKeyGrain>(accessKeyId).Revoke();
}
