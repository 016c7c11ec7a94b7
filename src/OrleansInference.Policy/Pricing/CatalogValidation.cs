using System.Collections.Immutable;

namespace OrleansInference.Pricing;

/// <summary>Finds everything that is wrong with a catalog before it is put in force.</summary>
public static class CatalogValidation
{
    /// <summary>The most endpoints of one model.</summary>
    public const int MaxEndpointsPerModel = Routing.RoutingTable.MaxCandidates;

    private const double MaxDeadlineSeconds = 31_622_400;

    // Far above every price there is, and far below where a price times memory no longer fits.
    internal static readonly Money MaxPrice = Money.FromNanos(1_000_000 * Money.NanosPerDollar);
    private const decimal MaxIdleMargin = 100;

    /// <summary>Every problem, as <c>path: what is wrong; remedy</c>, in catalog order; empty if the catalog can be put in force.</summary>
    public static ImmutableArray<string> Validate(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var problems = new ProblemList();
        if (catalog.InstancePrices is null || catalog.Deadlines is null)
        {
            problems.Add(catalog.Deadlines is null ? "deadlines" : "instancePrices", $"it is null; leave it out for the default");
            return problems.ToImmutable();
        }

        if (Nulls(catalog, problems))
        {
            return problems.ToImmutable();
        }

        Prices(catalog, problems);
        var endpoints = new Dictionary<EndpointName, string>();
        var models = new Dictionary<ModelName, string>();
        var prices = new PriceTable(catalog);
        var shared = Shared(catalog, endpoints, prices, problems);
        var targets = new Dictionary<(EndpointName, string), string>();
        for (var i = 0; i < Length(catalog.Models); i++)
        {
            Model(catalog.Models[i], $"models[{i}]", models, endpoints, prices, shared, targets, problems);
        }

        for (var i = 0; i < Length(catalog.SharedEndpoints); i++)
        {
            var name = catalog.SharedEndpoints[i].Name;
            problems.Require(Endpoints(catalog).Any(endpoint => endpoint.Shared == name), $"sharedEndpoints[{i}]", $"no model uses shared endpoint '{name}', whose instances would be kept for nothing; name it as shared or remove it");
        }

        TenantValidation.Validate(catalog, models.ContainsKey, problems);
        return problems.ToImmutable();
    }

    /// <summary>Whether anything is missing where something is listed; what is around it cannot be checked then.</summary>
    private static bool Nulls(CatalogDefinition catalog, ProblemList problems)
    {
        var before = problems.Count;
        Nulls(catalog.SharedEndpoints, "sharedEndpoints", problems);
        Nulls(catalog.Models, "models", problems);
        for (var i = 0; i < Length(catalog.Models); i++)
        {
            var variants = catalog.Models[i]?.Variants ?? default;
            Nulls(variants, $"models[{i}].variants", problems);
            for (var j = 0; j < Length(variants); j++)
            {
                Nulls(variants[j]?.Endpoints ?? default, $"models[{i}].variants[{j}].endpoints", problems);
            }
        }

        Nulls(catalog.Tenants, "tenants", problems);
        for (var i = 0; i < Length(catalog.Tenants); i++)
        {
            Nulls(catalog.Tenants[i]?.Budgets ?? default, $"tenants[{i}].budgets", problems);
        }

        return problems.Count > before;
    }

    private static void Nulls<T>(ImmutableArray<T> list, string path, ProblemList problems)
        where T : class
    {
        for (var i = 0; i < Length(list); i++)
        {
            if (list[i] is null)
            {
                problems.Add($"{path}[{i}]", $"it is null; describe it or remove it");
            }
        }
    }

    /// <summary>Length of an array that may never have been set.</summary>
    internal static int Length<T>(ImmutableArray<T> array) => array.IsDefault ? 0 : array.Length;

    private static IEnumerable<EndpointDefinition> Endpoints(CatalogDefinition catalog) =>
        Items(catalog.Models).SelectMany(static model => Items(model.Variants)).SelectMany(static variant => Items(variant.Endpoints));

    private static ImmutableArray<T> Items<T>(ImmutableArray<T> list) => list.IsDefault ? [] : list;

    private static void Prices(CatalogDefinition catalog, ProblemList problems)
    {
        foreach (var (type, price) in catalog.InstancePrices.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            Price(price, $"instancePrices.{type}", problems);
        }

        Price(catalog.ServerlessPerGigabyteSecond, "serverlessPerGigabyteSecond", problems);
        Price(catalog.ServerlessPerGigabyteTransferred, "serverlessPerGigabyteTransferred", problems);
        Price(catalog.ServerlessProvisionedPerGigabyteSecond, "serverlessProvisionedPerGigabyteSecond", problems);
        problems.Require(catalog.IdleMargin is >= 0 and <= MaxIdleMargin, "idleMargin", $"{catalog.IdleMargin} is outside 0..{MaxIdleMargin}; 0.5 adds half of the price");
        problems.Require(catalog.TargetProbability is > 0 and < 1, "targetProbability", $"{catalog.TargetProbability} is not between 0 and 1, both excluded; 0.99 is usual");
        Deadline(catalog.Deadlines.High, "deadlines.high", problems);
        Deadline(catalog.Deadlines.Medium, "deadlines.medium", problems);
        Deadline(catalog.Deadlines.Low, "deadlines.low", problems);
    }

    internal static void Price(Money price, string path, ProblemList problems)
    {
        problems.RequireNotNegative(price, path);
        problems.Require(price <= MaxPrice, path, $"{price} $ is above {MaxPrice}, the highest price that is reckoned with; give dollars, not a smaller unit");
    }

    private static void Deadline(double seconds, string path, ProblemList problems) =>
        problems.Require(seconds is >= 0.001 and <= MaxDeadlineSeconds, path, $"{seconds} s is not a deadline; give 0.001..{MaxDeadlineSeconds} seconds");

    private static Dictionary<EndpointName, EndpointDefinition> Shared(CatalogDefinition catalog, Dictionary<EndpointName, string> endpoints, PriceTable prices, ProblemList problems)
    {
        var shared = new Dictionary<EndpointName, EndpointDefinition>();
        for (var i = 0; i < Length(catalog.SharedEndpoints); i++)
        {
            var host = catalog.SharedEndpoints[i];
            Unique(endpoints, host.Name, host.Name.Value, $"sharedEndpoints[{i}]", "endpoint", problems);
            SharedEndpointValidation.Validate(host, $"sharedEndpoints[{i}]", prices, problems);
            shared.TryAdd(host.Name, host);
        }

        return shared;
    }

    private static void Model(
        ModelDefinition model,
        string path,
        Dictionary<ModelName, string> models,
        Dictionary<EndpointName, string> endpoints,
        PriceTable prices,
        Dictionary<EndpointName, EndpointDefinition> shared,
        Dictionary<(EndpointName, string), string> targets,
        ProblemList problems)
    {
        Unique(models, model.Name, model.Name.Value, path, "model", problems);
        problems.RequireRange(model.MaxOutputTokens, 0, int.MaxValue, $"{path}.maxOutputTokens");
        problems.Require(Length(model.Variants) > 0, $"{path}.variants", $"model '{model.Name}' has no variant and could never be routed; add one or remove the model");
        var variants = new Dictionary<VariantName, string>();
        var count = 0;
        for (var i = 0; i < Length(model.Variants); i++)
        {
            var variant = model.Variants[i];
            var at = $"{path}.variants[{i}]";
            Unique(variants, variant.Name, variant.Name.Value, at, "variant", problems);
            problems.RequireRange(variant.Quality, 0, 1, $"{at}.quality");
            problems.Require(Length(variant.Endpoints) > 0, $"{at}.endpoints", $"variant '{variant.Name}' has no endpoint to run on; add one or remove the variant");
            count += Length(variant.Endpoints);
            for (var j = 0; j < Length(variant.Endpoints); j++)
            {
                var endpoint = variant.Endpoints[j];
                var here = $"{at}.endpoints[{j}]";
                Unique(endpoints, endpoint.Name, endpoint.Name.Value, here, "endpoint", problems);
                if (endpoint.Shared is not { } name)
                {
                    SharedEndpointValidation.ValidateUnshared(endpoint, here, problems);
                    EndpointValidation.Validate(endpoint, here, prices, problems);
                }
                else if (SharedEndpointValidation.ValidateShared(endpoint, here, shared.GetValueOrDefault(name), targets, problems))
                {
                    EndpointValidation.ValidateModel(endpoint, here, problems);
                }
            }
        }

        problems.Require(count <= MaxEndpointsPerModel, path, $"model '{model.Name}' has {count} endpoints and at most {MaxEndpointsPerModel} can be routed; spread them over several models");
    }

    internal static void Unique<TKey>(Dictionary<TKey, string> seen, TKey key, string name, string path, string kind, ProblemList problems)
        where TKey : notnull
    {
        if (name.Length == 0)
        {
            problems.Add($"{path}.name", $"the {kind} has no name; give it {NameRule.Description}");
        }
        else if (!seen.TryAdd(key, path))
        {
            problems.Add($"{path}.name", $"{kind} '{name}' is already at {seen[key]}; rename one of the two");
        }
    }
}
