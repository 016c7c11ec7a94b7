using System.Collections.Immutable;

namespace OrleansInference.Demo;

/// <summary>The models, prices and tenants of the demo.</summary>
internal static class DemoCatalog
{
    public static readonly ModelName ChatLarge = new("chat-large");
    public static readonly ModelName CodeAssist = new("code-assist");
    public static readonly ModelName EmbedSmall = new("embed-small");

    /// <summary>A support desk: people wait for its chats, summaries may take minutes.</summary>
    public static readonly TenantId Harbor = new("harbor-support");

    /// <summary>A code assistant.</summary>
    public static readonly TenantId Atlas = new("atlas-dev");

    /// <summary>Search: embeds queries at once and documents some time.</summary>
    public static readonly TenantId Lumen = new("lumen-search");

    /// <summary>Overnight work on documents and code.</summary>
    public static readonly TenantId Quill = new("quill-media");

    /// <summary>A trial account whose budget is too small for what it does.</summary>
    public static readonly TenantId Spark = new("spark-trial");

    private const long Hour = 3600;

    /// <summary>The catalog.</summary>
    public static CatalogDefinition Create() => new()
    {
        InstancePrices = ImmutableDictionary.CreateRange(new Dictionary<string, Money>
        {
            ["ml.c5.xlarge"] = Money.FromDollars(0.204m),
            ["ml.g4dn.xlarge"] = Money.FromDollars(0.7364m),
            ["ml.g5.xlarge"] = Money.FromDollars(1.408m),
            ["ml.g5.12xlarge"] = Money.FromDollars(7.09m),
        }),
        Deadlines = new() { High = 30, Medium = 300, Low = 86_400 },
        Models = [Chat(), CodeModel(), Embed()],
        Tenants =
        [
            new()
            {
                Id = Harbor,
                Budgets = [Rolling(Hour, 4m), new() { Kind = BudgetWindowKind.CalendarMonth, Limit = Money.FromDollars(500m) }],
                Weight = 2,
                MinQuality = 0.9,
            },
            new() { Id = Atlas, Budgets = [Rolling(Hour, 4m)], DefaultClass = TrafficClass.High },
            new() { Id = Lumen, Budgets = [new() { Kind = BudgetWindowKind.CalendarDay, Limit = Money.FromDollars(0.05m) }] },
            new() { Id = Quill, Budgets = [Rolling(24 * Hour, 10m)], ClassCeiling = TrafficClass.Medium, DefaultClass = TrafficClass.Low, MinQuality = 0.9 },
            new()
            {
                Id = Spark,
                Budgets = [Rolling(Hour, 0.08m)],
                Weight = 0.5,
                LowBudget = [LowBudgetStep.CheaperLane, LowBudgetStep.Refuse],
            },
        ],
    };

    /// <summary>The real-time endpoint of a model's best variant: what the fixed real-time fleets of the comparison run on.</summary>
    public static EndpointDefinition RealtimeOf(ModelDefinition model) =>
        model.Variants.OrderByDescending(variant => variant.Quality).SelectMany(variant => variant.Endpoints).First(endpoint => endpoint.Lane == Lane.Realtime);

    private static BudgetWindowDefinition Rolling(long seconds, decimal dollars) =>
        new() { Kind = BudgetWindowKind.Rolling, Seconds = seconds, Limit = Money.FromDollars(dollars) };

    private static ModelDefinition Chat()
    {
        var full = new SimulatedModel { BaseSeconds = 0.05, PrefillTokensPerSecond = 6000, DecodeTokensPerSecond = 60, StartSeconds = 150 };
        var distilled = full with { PrefillTokensPerSecond = 12_000, DecodeTokensPerSecond = 110, StartSeconds = 120 };
        return new()
        {
            Name = ChatLarge,
            MaxOutputTokens = 1024,
            Variants =
            [
                new()
                {
                    Name = new("full"),
                    Quality = 1,
                    Endpoints =
                    [
                        new()
                        {
                            Name = new("chat-full-rt"), Lane = Lane.Realtime, InstanceType = "ml.g5.12xlarge", ConcurrencyPerInstance = 8, MinInstances = 1, MaxInstances = 6,
                            Streaming = true, Tariff = Tokens(input: 500_000, output: 1_500_000), Prior = Prior(3.5, 17, 150), Simulation = full,
                        },
                        new()
                        {
                            Name = new("chat-full-async"), Lane = Lane.Async, InstanceType = "ml.g5.12xlarge", ConcurrencyPerInstance = 8, MaxInstances = 1, MaxServiceSeconds = 300,
                            MaxPayloadBytes = 104_857_600, Tariff = Tokens(input: 350_000, output: 1_000_000), Prior = Prior(3.5, 17, 150), Simulation = full,
                        },
                        new()
                        {
                            Name = new("chat-full-batch"), Lane = Lane.Batch, InstanceType = "ml.g5.12xlarge", ConcurrencyPerInstance = 16, MaxServiceSeconds = 600,
                            WindowMaxRequests = 250, WindowMaxSeconds = 240, Tariff = Tokens(input: 200_000, output: 600_000), Prior = Prior(3.5, 17, 150), Simulation = full,
                        },
                    ],
                },
                new()
                {
                    Name = new("distilled"),
                    Quality = 0.8,
                    Endpoints =
                    [
                        new()
                        {
                            Name = new("chat-lite-rt"), Lane = Lane.Realtime, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MinInstances = 1, MaxInstances = 4,
                            Streaming = true, Tariff = Tokens(input: 100_000, output: 300_000), Prior = Prior(2, 9, 120), Simulation = distilled,
                        },
                        new()
                        {
                            Name = new("chat-lite-async"), Lane = Lane.Async, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MaxInstances = 1, MaxServiceSeconds = 300,
                            MaxPayloadBytes = 104_857_600, Tariff = Tokens(input: 70_000, output: 200_000), Prior = Prior(2, 9, 120), Simulation = distilled,
                        },
                    ],
                },
            ],
        };
    }

    private static ModelDefinition CodeModel()
    {
        var full = new SimulatedModel { BaseSeconds = 0.04, PrefillTokensPerSecond = 8000, DecodeTokensPerSecond = 80, StartSeconds = 150 };
        return new()
        {
            Name = CodeAssist,
            MaxOutputTokens = 2048,
            Variants =
            [
                new()
                {
                    Name = new("full"),
                    Quality = 1,
                    Endpoints =
                    [
                        new()
                        {
                            Name = new("code-full-rt"), Lane = Lane.Realtime, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MinInstances = 1, MaxInstances = 4,
                            Streaming = true, Tariff = Tokens(input: 150_000, output: 600_000), Prior = Prior(0.7, 5, 150), Simulation = full,
                        },
                        new()
                        {
                            Name = new("code-full-async"), Lane = Lane.Async, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 8, MaxInstances = 1, MaxServiceSeconds = 300,
                            MaxPayloadBytes = 104_857_600, Tariff = Tokens(input: 100_000, output: 400_000), Prior = Prior(0.7, 5, 150), Simulation = full,
                        },
                        new()
                        {
                            Name = new("code-full-batch"), Lane = Lane.Batch, InstanceType = "ml.g4dn.xlarge", ConcurrencyPerInstance = 8, MaxServiceSeconds = 600,
                            WindowMaxRequests = 250, WindowMaxSeconds = 240, Tariff = Tokens(input: 60_000, output: 240_000), Prior = Prior(0.7, 5, 150), Simulation = full,
                        },
                    ],
                },
            ],
        };
    }

    private static ModelDefinition Embed()
    {
        var simulation = new SimulatedModel { BaseSeconds = 0.02, PrefillTokensPerSecond = 2_500, DecodeTokensPerSecond = 0, StartSeconds = 100 };
        return new()
        {
            Name = EmbedSmall,
            MaxOutputTokens = 1,
            Variants =
            [
                new()
                {
                    Name = new("base"),
                    Quality = 1,
                    Endpoints =
                    [
                        new()
                        {
                            Name = new("embed-serverless"), Lane = Lane.Serverless, MemoryMb = 3072, MaxInstances = 20,
                            Tariff = Tokens(input: 12_000, output: 0), Prior = Prior(0.45, 2, 6), Simulation = simulation with { StartSeconds = 6 },
                        },
                        new()
                        {
                            Name = new("embed-rt"), Lane = Lane.Realtime, InstanceType = "ml.c5.xlarge", ConcurrencyPerInstance = 2, MinInstances = 1, MaxInstances = 2,
                            Tariff = Tokens(input: 10_000, output: 0), Prior = Prior(0.45, 2, 100), Simulation = simulation,
                        },
                        new()
                        {
                            Name = new("embed-batch"), Lane = Lane.Batch, InstanceType = "ml.c5.xlarge", ConcurrencyPerInstance = 4, MaxServiceSeconds = 600,
                            WindowMaxRequests = 500, WindowMaxSeconds = 240, Tariff = Tokens(input: 4_000, output: 0), Prior = Prior(0.45, 2, 100), Simulation = simulation,
                        },
                    ],
                },
            ],
        };
    }

    /// <summary>A price list per 1,000 tokens, in nano-dollars.</summary>
    private static Tariff Tokens(long input, long output) =>
        new() { PerThousandInputTokens = Money.FromNanos(input), PerThousandOutputTokens = Money.FromNanos(output) };

    private static LatencyPrior Prior(double p50, double p99, double cold) =>
        new() { ServiceP50Seconds = p50, ServiceP99Seconds = p99, ColdStartSeconds = cold };
}
