using OrleansInference.Pricing;

namespace OrleansInference.FrontDoor;

/// <summary>Puts catalogs in force: first where they run, if that is embedded, then in the grains.</summary>
/// <param name="grains">The cluster.</param>
/// <param name="prepare">Creates what the catalog names in the embedded AWS; does nothing on Amazon.</param>
internal sealed class CatalogDesk(IGrainFactory grains, Func<CatalogDefinition, CancellationToken, Task> prepare) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>Checks a catalog and puts it in force, or answers every problem and keeps the old one.</summary>
    public async Task<CatalogReply> ApplyAsync(CatalogDefinition catalog, CancellationToken cancellationToken)
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
            return await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(catalog);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Makes what a catalog names exist where it runs, without changing what is in force.</summary>
    public Task PrepareAsync(CatalogDefinition catalog, CancellationToken cancellationToken) => prepare(catalog, cancellationToken);

    public void Dispose() => _turn.Dispose();
}
