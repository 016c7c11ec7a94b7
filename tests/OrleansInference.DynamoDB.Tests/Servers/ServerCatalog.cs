using System.Collections.Immutable;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>What the servers of these tests serve to one tenant.</summary>
internal static class ServerCatalog
{
    public const string Tenant = "acme";

    /// <summary>What every request is charged.</summary>
    public static readonly Money Price = Money.FromDollars(0.0001m);

    /// <summary>A model that answers at once, also as a job, and one that takes seconds.</summary>
    public static CatalogDefinition Of(BudgetWindowDefinition budget)
    {
        var endpoint = new EndpointDefinition
        {
            Name = new("chat-rt"),
            Lane = Lane.Realtime,
            InstanceType = "ml.g5.xlarge",
            ConcurrencyPerInstance = 16,
            MinInstances = 2,
            MaxInstances = 2,
            Tariff = new() { PerRequest = Price },
            Prior = new() { ServiceP50Seconds = 0.05, ServiceP99Seconds = 1, ColdStartSeconds = 3 },
            Simulation = new() { BaseSeconds = 0.05, StartSeconds = 1 },
        };
        return new()
        {
            InstancePrices = ImmutableDictionary.CreateRange([KeyValuePair.Create("ml.g5.xlarge", Money.FromDollars(1.408m))]),
            Deadlines = new() { High = 60, Medium = 600 },
            Models =
            [
                Model("chat", endpoint, endpoint with { Name = new("chat-async"), Lane = Lane.Async, MaxServiceSeconds = 300 }),
                Model("slow", endpoint with { Name = new("slow-rt"), Prior = new() { ServiceP50Seconds = 3, ServiceP99Seconds = 6, ColdStartSeconds = 3 }, Simulation = new() { BaseSeconds = 3, StartSeconds = 1 } }),
            ],
            Tenants = [new() { Id = new(Tenant), Budgets = [budget] }],
        };
    }

    private static ModelDefinition Model(string name, params EndpointDefinition[] endpoints) =>
        new() { Name = new(name), MaxOutputTokens = 256, Variants = [new() { Name = new("full"), Endpoints = [.. endpoints] }] };
}
