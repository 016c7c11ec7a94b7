namespace OrleansInference;

/// <summary>A key pair, shown once when it is issued.</summary>
[GenerateSerializer, Immutable, Alias("oi.IssuedKey")]
public sealed record IssuedKey
{
    /// <summary>Whose it is.</summary>
    [Id(0)] public required TenantId Tenant { get; init; }

    /// <summary>Access key id for SigV4: 20 characters.</summary>
    [Id(1)] public required string AccessKeyId { get; init; }

    /// <summary>Secret access key for SigV4: 40 characters.</summary>
    [Id(2)] public required string SecretAccessKey { get; init; }

    /// <summary>API key for the header <c>Authorization: Bearer</c> or <c>X-Api-Key</c>.</summary>
    [Id(3)] public required string ApiKey { get; init; }
}

/// <summary>What a silo needs to check a key; secrets stay encrypted.</summary>
[GenerateSerializer, Immutable, Alias("oi.KeyRecord")]
public sealed record KeyRecord
{
    /// <summary>Whose it is.</summary>
    [Id(0)] public required TenantId Tenant { get; init; }

    /// <summary>SHA-256 of the API key's secret part.</summary>
    [Id(1)] public required ReadOnlyMemory<byte> ApiKeyHash { get; init; }

    /// <summary>The secret access key, encrypted with the deployment's master key.</summary>
    [Id(2)] public required ReadOnlyMemory<byte> EncryptedSecret { get; init; }

    /// <summary>Whether the key was revoked.</summary>
    [Id(3)] public bool Revoked { get; init; }
}

/// <summary>One issued key. Key: the access key id.</summary>
[Alias("oi.IKeyGrain")]
public interface IKeyGrain : IGrainWithStringKey
{
    /// <summary>Stores the key; fails if the id is taken by another.</summary>
    [Alias("Put")] Task Put(KeyRecord record);

    /// <summary>The key; null if there is none.</summary>
    [Alias("Get")] Task<KeyRecord?> Get();

    /// <summary>Makes the key useless.</summary>
    [Alias("Revoke")] Task Revoke();
}
