using OrleansInference.Pricing;

namespace OrleansInference.FrontDoor;

/// <summary>Puts catalogs in force: first where they run, if that is embedded, then in the grains.</summary>
/// <param name="grains">The cluster.</param>
/// <param name="prepare">Creates what the catalog names in the embedded AWS; does nothing on Amazon.</param>
internal sealed class CatalogDesk(IGrainFactory grains, Func<CatalogDefinition, CancellationToken, Task> prepare) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>Checks a catalog and puts it in force, or answers every problem and keeps the old one.</summary>
    public Task<CatalogReply> ApplyAsync(CatalogDefinition catalog, CancellationToken cancellationToken) =>
        ApplyAsync(catalog, static (grain, catalog) => grain.Apply(catalog), cancellationToken);

    /// <summary>Puts a configured catalog in force if another was configured last; else makes what is in force exist where it runs.</summary>
    public async Task<CatalogReply> ConfigureAsync(CatalogDefinition catalog, string fingerprint, CancellationToken cancellationToken)
    {
        var grain = grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key);
        if (await grain.Configured() != fingerprint)
        {
            return await ApplyAsync(catalog, (grain, catalog) => grain.Configure(catalog, fingerprint), cancellationToken);
        }

        await prepare(await grain.Get(), cancellationToken);
        return new();
    }

    public void Dispose() => _turn.Dispose();

    private async Task<CatalogReply> ApplyAsync(CatalogDefinition catalog, Func<ICatalogGrain, CatalogDefinition, Task<CatalogReply>> apply, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var problems = CatalogValidation.Validate(catalog);
            if (!problems.IsEmpty)
            {
                return new() { Problems = problems };
            }

            await prepare(catalog, cancellationToken);
            return await apply(grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key), catalog);
        }
        finally
        {
            _turn.Release();
        }
    }
}
