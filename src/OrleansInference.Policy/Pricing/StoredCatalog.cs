using OrleansInference.Batch;

namespace OrleansInference.Pricing;

/// <summary>A catalog that an earlier version has taken and stored. What it took and <see cref="CatalogValidation"/> no longer does is what it has come to mean, so that a change of anything else is still taken.</summary>
public static class StoredCatalog
{
    /// <summary>The catalog as this version takes it: windows are no larger than they may be.</summary>
    public static CatalogDefinition AsTaken(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return catalog.Models.IsDefaultOrEmpty || !catalog.Models.Any(static model => model.Variants.Any(static variant => variant.Endpoints.Any(IsTooLarge)))
            ? catalog
            : catalog with
            {
                Models =
                [
                    .. catalog.Models.Select(static model => model with
                    {
                        Variants =
                        [
                            .. model.Variants.Select(static variant => variant with
                            {
                                Endpoints = [.. variant.Endpoints.Select(static endpoint => IsTooLarge(endpoint) ? endpoint with { WindowMaxRequests = WindowLimits.MostMembers } : endpoint)],
                            }),
                        ],
                    }),
                ],
            };
    }

    private static bool IsTooLarge(EndpointDefinition endpoint) => endpoint.WindowMaxRequests > WindowLimits.MostMembers;
}
