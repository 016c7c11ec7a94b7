namespace OrleansInference.Pricing;

/// <summary>Gives the models on shared endpoints what they take from there.</summary>
public static class CatalogSharing
{
    /// <summary>The catalog with every endpoint whole. A shared endpoint that does not exist is left as it is, for <see cref="CatalogValidation"/> to find.</summary>
    public static CatalogDefinition Resolve(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        if (catalog.SharedEndpoints.IsDefaultOrEmpty)
        {
            return catalog;
        }

        var shared = catalog.SharedEndpoints.DistinctBy(static endpoint => endpoint.Name).ToDictionary(static endpoint => endpoint.Name);
        return catalog with
        {
            Models =
            [
                .. catalog.Models.Select(model => model with
                {
                    Variants =
                    [
                        .. model.Variants.Select(variant => variant with
                        {
                            Endpoints = [.. variant.Endpoints.Select(endpoint => endpoint.Shared is { } name && shared.TryGetValue(name, out var host) ? On(endpoint, host) : endpoint)],
                        }),
                    ],
                }),
            ],
        };
    }

    private static EndpointDefinition On(EndpointDefinition model, EndpointDefinition host) => model with
    {
        InstanceType = host.InstanceType,
        ConcurrencyPerInstance = host.ConcurrencyPerInstance,
        MinInstances = host.MinInstances,
        MaxInstances = host.MaxInstances,
        MaxPayloadBytes = host.MaxPayloadBytes,
        MaxServiceSeconds = host.MaxServiceSeconds,
        Target = host.TargetName,
        Streaming = host.Streaming,
        Draining = model.Draining || host.Draining,
        LoadedModels = host.LoadedModels,
    };
}
