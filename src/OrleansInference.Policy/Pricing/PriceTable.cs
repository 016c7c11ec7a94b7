namespace OrleansInference.Pricing;

/// <summary>The operator's prices and the tariffs they imply where the catalog names none.</summary>
public sealed class PriceTable
{
    private const int SecondsPerHour = 3600;
    private const int MbPerGigabyte = 1024;
    private readonly CatalogDefinition _catalog;

    /// <summary>The prices of a catalog.</summary>
    public PriceTable(CatalogDefinition catalog)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        _catalog = catalog;
    }

    /// <summary>Whether the price of what the endpoint runs on is known.</summary>
    public bool HasPrice(EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        return endpoint.Lane == Lane.Serverless || _catalog.InstancePrices.ContainsKey(endpoint.InstanceType);
    }

    /// <summary>
    /// What the operator pays for one second of an instance, or of a serverless execution, rounded up to the nano-dollar;
    /// zero if the price is not known.
    /// </summary>
    public Money InstanceSecondCost(EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        return endpoint.Lane == Lane.Serverless
            ? RoundUp((decimal)_catalog.ServerlessPerGigabyteSecond.Nanos * endpoint.MemoryMb / MbPerGigabyte)
            : RoundUp((decimal)_catalog.InstancePrices.GetValueOrDefault(endpoint.InstanceType).Nanos / SecondsPerHour);
    }

    /// <summary>What the operator pays for one second of a serverless execution that is kept warm, rounded up to the nano-dollar.</summary>
    public Money ProvisionedSecondCost(EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        return RoundUp((decimal)_catalog.ServerlessProvisionedPerGigabyteSecond.Nanos * endpoint.MemoryMb / MbPerGigabyte);
    }

    /// <summary>
    /// The endpoint's tariff, else the default: per slot-second, instance price ÷ concurrency × (1 + idle margin), rounded
    /// up once; for serverless, which has no idle time to recover, memory × price per GB-second and the price per GB
    /// transferred.
    /// </summary>
    /// <exception cref="ArgumentException">Neither a tariff nor a price is known.</exception>
    public Tariff TariffOf(EndpointDefinition endpoint)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        if (endpoint.Tariff is { } own)
        {
            return own;
        }

        if (!HasPrice(endpoint))
        {
            throw new ArgumentException($"Instance type '{endpoint.InstanceType}' of endpoint {endpoint.Name} has no price; add it to instancePrices.", nameof(endpoint));
        }

        if (endpoint.Lane == Lane.Serverless)
        {
            return new() { PerSlotSecond = InstanceSecondCost(endpoint), PerGigabyte = _catalog.ServerlessPerGigabyteTransferred };
        }

        // decimal carries 28 digits: price × (1 + margin) is exact, and the quotient is rounded far below a nano-dollar.
        var perHour = _catalog.InstancePrices[endpoint.InstanceType].Nanos * (1 + _catalog.IdleMargin);
        return new() { PerSlotSecond = RoundUp(perHour / ((decimal)SecondsPerHour * endpoint.ConcurrencyPerInstance)) };
    }

    private static Money RoundUp(decimal nanos) => Money.FromNanos(decimal.ToInt64(decimal.Ceiling(nanos)));
}
