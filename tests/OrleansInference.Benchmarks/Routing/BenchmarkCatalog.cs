using System.Collections.Immutable;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>A model of eight candidates over all four lanes and two variants.</summary>
internal static class BenchmarkCatalog
{
    public const int Candidates = 8;
    public static readonly ModelName Model = new("chat");
    public static readonly TenantId Tenant = new("tenant");

    public static ModelDefinition Chat { get; } = new()
    {
        Name = Model,
        MaxOutputTokens = 1024,
        Variants =
        [
            new()
            {
                Name = new("full"),
                Quality = 1,
                Endpoints =
                [
                    Endpoint("full-a", Lane.Realtime, "ml.g5.xlarge"),
                    Endpoint("full-b", Lane.Realtime, "ml.g5.2xlarge"),
                    Endpoint("full-async", Lane.Async, "ml.g5.xlarge"),
                    Endpoint("full-batch", Lane.Batch, "ml.g5.xlarge"),
                ],
            },
            new()
            {
                Name = new("distilled"),
                Quality = 0.8,
                Endpoints =
                [
                    Endpoint("distilled-a", Lane.Realtime, "ml.g4dn.xlarge"),
                    Endpoint("distilled-serverless", Lane.Serverless, ""),
                    Endpoint("distilled-async", Lane.Async, "ml.g4dn.xlarge"),
                    Endpoint("distilled-batch", Lane.Batch, "ml.g4dn.xlarge"),
                ],
            },
        ],
    };

    public static CatalogDefinition Catalog { get; } = new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty
            .Add("ml.g5.xlarge", Money.FromDollars(1.408m))
            .Add("ml.g5.2xlarge", Money.FromDollars(1.515m))
            .Add("ml.g4dn.xlarge", Money.FromDollars(0.736m)),
        Models = [Chat],
        Tenants =
        [
            new()
            {
                Id = Tenant,
                Budgets =
                [
                    new() { Kind = BudgetWindowKind.Rolling, Seconds = 3600, Limit = Money.FromDollars(1_000_000) },
                    new() { Kind = BudgetWindowKind.CalendarMonth, Limit = Money.FromDollars(1_000_000) },
                ],
            },
        ],
    };

    private static EndpointDefinition Endpoint(string name, Lane lane, string instanceType) => new()
    {
        Name = new(name),
        Lane = lane,
        InstanceType = instanceType,
        ConcurrencyPerInstance = lane == Lane.Serverless ? 1 : 16,
        MinInstances = lane is Lane.Realtime ? 4 : 0,
        MaxInstances = 8,
        MemoryMb = lane == Lane.Serverless ? 4096 : 0,
        MaxPayloadBytes = lane == Lane.Serverless ? 4_194_304 : 6_291_456,
        MaxServiceSeconds = lane is Lane.Async or Lane.Batch ? 900 : 60,
        Prior = new() { ServiceP50Seconds = 0.4, ServiceP99Seconds = 1.2, ColdStartSeconds = 60 },
        Tariff = new() { PerSlotSecond = Money.FromDollars(0.000_01m), PerThousandInputTokens = Money.FromDollars(0.000_2m), PerThousandOutputTokens = Money.FromDollars(0.000_6m) },
    };
}
