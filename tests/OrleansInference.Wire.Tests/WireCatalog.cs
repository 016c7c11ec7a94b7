using System.Collections.Immutable;

namespace OrleansInference.Tests;

/// <summary>One quick model with a real-time and an asynchronous endpoint, and one tenant.</summary>
internal static class WireCatalog
{
    public static CatalogDefinition Create()
    {
        var simulation = new SimulatedModel { BaseSeconds = 0.05, StartSeconds = 2 };
        var prior = new LatencyPrior { ServiceP50Seconds = 0.2, ServiceP99Seconds = 1, ColdStartSeconds = 2 };
        var tariff = new Tariff { PerRequest = Money.FromDollars(0.0001m), PerThousandOutputTokens = Money.FromDollars(0.001m) };
        return new()
        {

            // Several, as a dictionary of one entry has the same order in every process.
            InstancePrices = ImmutableDictionary.CreateRange(Enumerable.Range(1, 8).Select(static i => KeyValuePair.Create($"ml.c{i}.large", Money.FromDollars(i)))
                .Append(KeyValuePair.Create("ml.g5.xlarge", Money.FromDollars(1.408m)))),
            // At up to 50 times life: what is asked for in line has many seconds of the machine's time.
            Deadlines = new() { High = 1_200, Medium = 12_000 },
            Models =
            [
                new()
                {
                    Name = new(WireServer.Model),
                    MaxOutputTokens = 256,
                    Variants =
                    [
                        new()
                        {
                            Name = new("full"),
                            Endpoints =
                            [
                                new()
                                {
                                    Name = new("chat-rt"), Lane = Lane.Realtime, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MinInstances = 1, MaxInstances = 2,
                                    Streaming = true, Tariff = tariff, Prior = prior, Simulation = simulation,
                                },
                                new()
                                {
                                    Name = new("chat-async"), Lane = Lane.Async, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MinInstances = 1, MaxInstances = 2,
                                    MaxServiceSeconds = 300, Tariff = tariff, Prior = prior, Simulation = simulation,
                                },
                            ],
                        },
                    ],
                },
            ],
            Tenants = [new() { Id = new(WireServer.Tenant), Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Money.FromDollars(100m) }] }],
        };
    }
}
