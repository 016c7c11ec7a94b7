using OrleansInference.Batch;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

public sealed class StoredCatalogTests
{
    [Fact]
    public void A_window_that_an_earlier_version_took_is_as_large_as_it_may_be()
    {
        var stored = Catalog(1, WindowLimits.MostMembers, 100_000);

        var taken = StoredCatalog.AsTaken(stored);

        Assert.Equal([1, WindowLimits.MostMembers, WindowLimits.MostMembers], taken.Models[0].Variants[0].Endpoints.Select(static endpoint => endpoint.WindowMaxRequests));
        Assert.Equal(stored.Models[0].Variants[0].Endpoints[0], taken.Models[0].Variants[0].Endpoints[0]);
    }

    [Fact]
    public void Anything_else_is_as_it_was_stored()
    {
        var stored = Catalog(1, 1_000);
        Assert.Same(stored, StoredCatalog.AsTaken(stored));
        var empty = new CatalogDefinition { Models = default };
        Assert.Same(empty, StoredCatalog.AsTaken(empty));
    }

    private static CatalogDefinition Catalog(params int[] windows) => new()
    {
        Models = [new() { Name = new("m"), Variants = [new() { Name = new("v"), Endpoints = [.. windows.Select(static (window, i) => new EndpointDefinition { Name = new($"e{i}"), Lane = Lane.Batch, WindowMaxRequests = window })] }] }],
    };
}
