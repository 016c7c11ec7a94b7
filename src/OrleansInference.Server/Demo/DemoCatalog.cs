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
        var (slow, quick) = (Prior(3.5, 17, 150), Prior(2, 9, 120));
        return Model(
            ChatLarge,
            1024,
            Variant(
                "full",
                1,
                Realtime("chat-full-rt", "ml.g5.12xlarge", 6, Tokens(500_000, 1_500_000), slow, full),
                Asynchronous("chat-full-async", "ml.g5.12xlarge", Tokens(350_000, 1_000_000), slow, full),
                Batch("chat-full-batch", "ml.g5.12xlarge", 16, Tokens(200_000, 600_000), slow, full)),
            Variant(
                "distilled",
                0.8,
                Realtime("chat-lite-rt", "ml.g5.xlarge", 4, Tokens(100_000, 300_000), quick, distilled),
                Asynchronous("chat-lite-async", "ml.g5.xlarge", Tokens(70_000, 200_000), quick, distilled)));
    }

    private static ModelDefinition CodeModel()
    {
        var full = new SimulatedModel { BaseSeconds = 0.04, PrefillTokensPerSecond = 8000, DecodeTokensPerSecond = 80, StartSeconds = 150 };
        var prior = Prior(0.7, 5, 150);
        return Model(
            CodeAssist,
            2048,
            Variant(
                "full",
                1,
                Realtime("code-full-rt", "ml.g5.xlarge", 4, Tokens(150_000, 600_000), prior, full),
                Asynchronous("code-full-async", "ml.g5.xlarge", Tokens(100_000, 400_000), prior, full),
                Batch("code-full-batch", "ml.g4dn.xlarge", 8, Tokens(60_000, 240_000), prior, full)));
    }

    private static ModelDefinition Embed()
    {
        var simulation = new SimulatedModel { BaseSeconds = 0.02, PrefillTokensPerSecond = 2_500, DecodeTokensPerSecond = 0, StartSeconds = 100 };
        var prior = Prior(0.45, 2, 100);
        return Model(
            EmbedSmall,
            1,
            Variant(
                "base",
                1,
                new()
                {
                    Name = new("embed-serverless"),
                    Lane = Lane.Serverless,
                    MemoryMb = 3072,
                    MaxInstances = 20,
                    Tariff = Tokens(12_000, 0),
                    Prior = Prior(0.45, 2, 6),
                    Simulation = simulation with { StartSeconds = 6 },
                },
                Realtime("embed-rt", "ml.c5.xlarge", 2, Tokens(10_000, 0), prior, simulation) with { ConcurrencyPerInstance = 2, Streaming = false },
                Batch("embed-batch", "ml.c5.xlarge", 4, Tokens(4_000, 0), prior, simulation) with { WindowMaxRequests = 500 }));
    }

    private static ModelDefinition Model(ModelName name, int maxOutputTokens, params VariantDefinition[] variants) =>
        new() { Name = name, MaxOutputTokens = maxOutputTokens, Variants = [.. variants] };

    private static VariantDefinition Variant(string name, double quality, params EndpointDefinition[] endpoints) =>
        new() { Name = new(name), Quality = quality, Endpoints = [.. endpoints] };

    private static EndpointDefinition Realtime(string name, string instance, int mostInstances, Tariff tariff, LatencyPrior prior, SimulatedModel simulation) => new()
    {
        Name = new(name),
        Lane = Lane.Realtime,
        InstanceType = instance,
        ConcurrencyPerInstance = 8,
        MinInstances = 1,
        MaxInstances = mostInstances,
        Streaming = true,
        Tariff = tariff,
        Prior = prior,
        Simulation = simulation,
    };

    private static EndpointDefinition Asynchronous(string name, string instance, Tariff tariff, LatencyPrior prior, SimulatedModel simulation) => new()
    {
        Name = new(name),
        Lane = Lane.Async,
        InstanceType = instance,
        ConcurrencyPerInstance = 8,
        MaxInstances = 1,
        MaxServiceSeconds = 300,
        MaxPayloadBytes = 104_857_600,
        Tariff = tariff,
        Prior = prior,
        Simulation = simulation,
    };

    private static EndpointDefinition Batch(string name, string instance, int concurrency, Tariff tariff, LatencyPrior prior, SimulatedModel simulation) => new()
    {
        Name = new(name),
        Lane = Lane.Batch,
        InstanceType = instance,
        ConcurrencyPerInstance = concurrency,
        MaxServiceSeconds = 600,
        WindowMaxRequests = 250,
        WindowMaxSeconds = 240,
        Tariff = tariff,
        Prior = prior,
        Simulation = simulation,
    };

    /// <summary>A price list per 1,000 tokens, in nano-dollars.</summary>
    private static Tariff Tokens(long input, long output) =>
        new() { PerThousandInputTokens = Money.FromNanos(input), PerThousandOutputTokens = Money.FromNanos(output) };

    private static LatencyPrior Prior(double p50, double p99, double cold) =>
        new() { ServiceP50Seconds = p50, ServiceP99Seconds = p99, ColdStartSeconds = cold };
}
