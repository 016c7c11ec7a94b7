using System.Collections.Immutable;

namespace OrleansInference.Tests;

/// <summary>A catalog of one model on two real-time endpoints, and tenants with and without a budget.</summary>
internal static class SampleCatalog
{
    public static readonly ModelName Model = new("chat");
    public static readonly TenantId Rich = new("rich");
    public static readonly TenantId Poor = new("poor");
    public static readonly TenantId Stranger = new("stranger");

    public static EndpointDefinition Endpoint(string name, int concurrency = 8) => new()
    {
        Name = new(name),
        Lane = Lane.Realtime,
        InstanceType = "ml.g5.xlarge",
        ConcurrencyPerInstance = concurrency,
        MinInstances = 2,
        MaxInstances = 2,
        MaxServiceSeconds = 30,
        Prior = new() { ServiceP50Seconds = 0.01, ServiceP99Seconds = 0.1, ColdStartSeconds = 10 },
        Tariff = new() { PerRequest = Money.FromDollars(0.001m) },
        Streaming = true,
    };

    public static CatalogDefinition Create(Money limit, params EndpointDefinition[] endpoints) => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.2m)),
        Models =
        [
            new()
            {
                Name = Model,
                Variants = [new() { Name = new("full"), Endpoints = endpoints.Length == 0 ? [Endpoint("chat-rt")] : [.. endpoints] }],
            },
        ],
        Tenants =
        [
            new() { Id = Rich },
            new() { Id = Poor, Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = limit }], LowBudget = [LowBudgetStep.Refuse] },
        ],
    };

    public static InferenceRequest Request(TenantId tenant, double deadlineSeconds = 30) => new()
    {
        Tenant = tenant,
        Model = Model,
        Body = "{\"inputs\":\"Is it so?\"}"u8.ToArray(),
        Class = TrafficClass.High,
        Deadline = TimeSpan.FromSeconds(deadlineSeconds),
    };
}
