using Orleans.Storage;

namespace OrleansInference.Keys;

/// <summary>What is stored of the master key.</summary>
internal sealed record MasterKeyClaimState
{
    /// <summary>Its fingerprint; empty: none is stored.</summary>
    public string Fingerprint { get; init; } = "";
}

/// <summary>
/// The one master key that a service's state belongs to, by its fingerprint, stored beside the state of grains. A server with another would refuse the keys that were issued, and issue some
/// that all others refuse, so it is looked at before there is a silo.
/// </summary>
internal sealed class MasterKeyClaim(IGrainStorage storage)
{
    /// <summary>Under what it is stored, as if it were the state of a grain.</summary>
    public const string StateName = "fingerprint";

    /// <summary>Under what it is stored, as if there were such a grain.</summary>
    public static readonly GrainId Grain = GrainId.Create("masterkey", "service");

    /// <summary>The fingerprint of the key that the state belongs to; null if none is stored.</summary>
    public async Task<string?> ReadAsync(CancellationToken cancellationToken)
    {
        var stored = new GrainState<MasterKeyClaimState>(new());
        await storage.ReadStateAsync(StateName, Grain, stored, cancellationToken);
        return stored is { RecordExists: true, State: { } state } ? state.Fingerprint : null;
    }

    /// <summary>Makes a key the one that the state belongs to, if there was none: of several servers that start at once, one does.</summary>
    /// <returns>Whether the state belongs to this key.</returns>
    public async Task<bool> TryMakeAsync(MasterKey key, CancellationToken cancellationToken)
    {
        if (await ReadAsync(cancellationToken) is { } known)
        {
            return known == key.Fingerprint;
        }

        try
        {
            // Without an ETag: written only if there still is none.
            await storage.WriteStateAsync(StateName, Grain, new GrainState<MasterKeyClaimState>(new() { Fingerprint = key.Fingerprint }), cancellationToken);
            return true;
        }
        catch (InconsistentStateException)
        {
            return await ReadAsync(cancellationToken) == key.Fingerprint;
        }
    }
}
