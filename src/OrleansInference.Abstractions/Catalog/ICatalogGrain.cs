using System.Collections.Immutable;

namespace OrleansInference;

/// <summary>What became of a catalog change.</summary>
[GenerateSerializer, Immutable, Alias("oi.CatalogReply")]
public sealed record CatalogReply
{
    /// <summary>The version now in force.</summary>
    [Id(0)] public long Version { get; init; }

    /// <summary>Every problem found; empty if the change is in force.</summary>
    [Id(1)] public ImmutableArray<string> Problems { get; init; } = [];
}

/// <summary>What exists: names, definitions and a version. One grain, key <see cref="Key"/>.</summary>
[Alias("oi.ICatalogGrain")]
public interface ICatalogGrain : IGrainWithStringKey
{
    /// <summary>The only key.</summary>
    const string Key = "catalog";

    /// <summary>Checks a whole catalog and puts it in force, or refuses it with every problem named and keeps the old one.</summary>
    [Alias("Apply")] Task<CatalogReply> Apply(CatalogDefinition catalog);

    /// <summary>Adds or changes one tenant.</summary>
    [Alias("PutTenant")] Task<CatalogReply> PutTenant(TenantDefinition tenant);

    /// <summary>
    /// Puts a server's configured catalog in force, as <see cref="Apply"/> does, unless it is the one that was configured last: then what was changed since stays. Servers of one cluster
    /// that are given the same catalog put it in force once.
    /// </summary>
    /// <param name="catalog">The configured catalog.</param>
    /// <param name="fingerprint">What tells it from others.</param>
    [Alias("Configure")] Task<CatalogReply> Configure(CatalogDefinition catalog, string fingerprint);

    /// <summary>The fingerprint of the catalog that was configured last; empty if none was.</summary>
    [Alias("Configured")] Task<string> Configured();

    /// <summary>The catalog in force.</summary>
    [Alias("Get")] Task<CatalogDefinition> Get();
}
