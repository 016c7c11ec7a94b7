using System.Collections.Immutable;
using OrleansInference.Capacity;

namespace OrleansInference.Pricing;

/// <summary>Fills in what the price table implies: tariffs and the operator's cost of every endpoint.</summary>
public static class CatalogPricing
{
    /// <summary>One configuration per model, tariffs filled in, in catalog order.</summary>
    /// <exception cref="ArgumentException">An endpoint has neither a tariff nor a price: the catalog does not pass <see cref="CatalogValidation"/>.</exception>
    public static ImmutableArray<ModelConfiguration> Resolve(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        catalog = CatalogSharing.Resolve(catalog);
        var prices = new PriceTable(catalog);
        var configurations = ImmutableArray.CreateBuilder<ModelConfiguration>(catalog.Models.Length);
        foreach (var model in catalog.Models)
        {
            var costs = ImmutableDictionary.CreateBuilder<EndpointName, Money>();
            var variants = ImmutableArray.CreateBuilder<VariantDefinition>(model.Variants.Length);
            foreach (var variant in model.Variants)
            {
                foreach (var endpoint in variant.Endpoints)
                {
                    costs[endpoint.Name] = prices.InstanceSecondCost(endpoint);
                }

                variants.Add(variant with { Endpoints = [.. variant.Endpoints.Select(endpoint => endpoint with { Tariff = prices.TariffOf(endpoint) })] });
            }

            configurations.Add(new()
            {
                Model = model with { Variants = variants.MoveToImmutable() },
                InstanceSecondCosts = costs.ToImmutable(),
                Deadlines = catalog.Deadlines,
                TargetProbability = catalog.TargetProbability,
                ServerlessPerGigabyteTransferred = catalog.ServerlessPerGigabyteTransferred,
            });
        }

        return configurations.MoveToImmutable();
    }

    /// <summary>One configuration per endpoint with instances, executions or jobs of its own; a shared endpoint has one for all its models.</summary>
    /// <exception cref="ArgumentException">As <see cref="Resolve"/>.</exception>
    public static ImmutableArray<EndpointConfiguration> ResolveEndpoints(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var prices = new PriceTable(catalog);
        var shared = catalog.SharedEndpoints.IsDefault ? [] : catalog.SharedEndpoints.ToDictionary(static endpoint => endpoint.Name);
        return
        [
            .. from configuration in Resolve(catalog)
               from variant in configuration.Model!.Variants
               from endpoint in variant.Endpoints
               group (Model: configuration.Model!.Name, Variant: variant.Name, Endpoint: endpoint, Cost: configuration.InstanceSecondCosts.GetValueOrDefault(endpoint.Name), Spill: SpillStaffing.Elsewhere(configuration, variant, endpoint)) by endpoint.SlotsName into users
               let first = users.First()
               select new EndpointConfiguration
               {
                   Model = first.Model,
                   Variant = first.Variant,
                   Endpoint = first.Endpoint.Shared is { } name ? shared[name] : first.Endpoint,
                   InstanceSecondCost = first.Cost,
                   ProvisionedSecondCost = first.Endpoint.IsProvisioned ? prices.ProvisionedSecondCost(first.Endpoint) : Money.Zero,
                   Models = first.Endpoint.Shared is null ? [] : [.. users.Select(static user => user.Model).Distinct()],

                   // A shared endpoint's slots are for models of which each may have another place to go.
                   SpillRatio = first.Endpoint.Shared is null ? first.Spill.Ratio : 0,
                   SpillSlots = first.Endpoint.Shared is null ? first.Spill.Slots : 0,
               },
        ];
    }
}
