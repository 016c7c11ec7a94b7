using System.Collections.Immutable;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests;

/// <summary>
/// Eight models, in real time and serverless, whose traffic rises and falls twice, a part of it work that can wait for minutes: a scenario, and the same as a cluster's catalog.
/// </summary>
internal static class RisingAndFalling
{
    // Enough of them that an instance sooner or later of one is little in the sum.
    private const int Pairs = 4;

    // Of each pair in a minute on average: enough that a model has several instances, and one more or less of them is little.
    private const double Usual = 90;

    private const double Swing = 60;

    private const int Minutes = 33;
    private const int LastMinute = 22;
    private const int QuietMinutes = 2;

    // Longer than the four starts of an instance from which on work is put off, and over before the end.
    private const double LowSlackSeconds = 500;
    private const double PeriodMinutes = 10;
    private const long MaxPayloadBytes = 4 << 20;
    private const double MaxServiceSeconds = 60;
    private static readonly Money PerGigabyteSecond = Money.FromNanos(30_000);

    /// <summary>How long it lasts.</summary>
    public static TimeSpan Length => TimeSpan.FromMinutes(Minutes);

    /// <summary>The scenario, its trace written to a file.</summary>
    /// <param name="traceFile">Where the trace is written.</param>
    /// <param name="waySeconds">What a call takes on its way to a model and back, beside the model's own time: the simulator takes none for it.</param>
    public static Scenario Write(string traceFile, double waySeconds = 0)
    {
        File.WriteAllLines(traceFile, Enumerable.Range(0, Minutes).Select(static minute => FormattableString.Invariant($"{RequestsIn(minute)}")));
        return new()
        {
            Name = "rising-and-falling",
            Seed = 11,
            Days = Length.TotalDays,
            IsBilledToTheEnd = true,
            Trace = new()
            {
                Format = TraceFormat.Counts,
                File = traceFile,
                StepSeconds = 60,
                InputTokens = new([(0, 200), (0.5, 600), (1, 2_500)]),
                OutputTokens = new([(0, 100), (0.5, 200), (1, 300)]),
            },
            Classes = [new(15, 0.99), new(300, 0.99), new(LowSlackSeconds, 0.99)],
            Models =
            [
                .. Enumerable.Range(0, Pairs).Select(each => Model($"chat-{each}", "ml.g4dn.xlarge", 0.7364m, concurrency: 2, decode: 10 + each, waySeconds)),
                .. Enumerable.Range(0, Pairs).Select(each => Model($"notes-{each}", "ml.c5.2xlarge", 0.408m, concurrency: 1, decode: 15 + each, waySeconds)),
            ],
            Tenants =
            [
                .. Enumerable.Range(0, Pairs).Select(static each => new ScenarioTenant { Tenant = $"desk-{each}", Model = $"chat-{each}", Class = TrafficClass.High, Share = 0.5 / Pairs }),
                .. Enumerable.Range(0, Pairs).Select(static each => new ScenarioTenant { Tenant = $"scribe-{each}", Model = $"notes-{each}", Class = TrafficClass.High, Share = 0.3 / Pairs }),
                .. Enumerable.Range(0, Pairs).Select(static each => new ScenarioTenant { Tenant = $"night-{each}", Model = $"chat-{each}", Class = TrafficClass.Low, Share = 0.2 / Pairs }),
            ],
        };
    }

    /// <summary>Its requests.</summary>
    public static ImmutableArray<Arrival> ArrivalsOf(Scenario scenario)
    {
        var all = ImmutableArray.CreateBuilder<Arrival>();
        using var arrivals = TraceReader.Open(scenario);
        while (arrivals.TryNext(out var arrival))
        {
            all.Add(arrival);
        }

        return all.ToImmutable();
    }

    /// <summary>The catalog under which a cluster is what the scenario describes.</summary>
    public static CatalogDefinition CatalogOf(Scenario scenario)
    {
        var first = FirstRequests.Of(scenario);
        return new()
        {
            Models = [.. scenario.Models.Select((model, index) => ModelOf(model, ScenarioCatalog.ConfigurationOf(model, scenario.Classes, variant => first.SecondsOn(index, variant), static (_, _) => true).Model!))],
            InstancePrices = scenario.Models.SelectMany(static model => model.Variants).ToImmutableDictionary(static variant => variant.InstanceType, static variant => variant.PricePerHour),
            ServerlessPerGigabyteSecond = PerGigabyteSecond,
            ServerlessPerGigabyteTransferred = Money.Zero,
            Tenants = [.. scenario.Tenants.Select(static tenant => new TenantDefinition { Id = new(tenant.Tenant), MinQuality = tenant.MinQuality, BestEffort = true, BestEffortProbability = ScenarioCatalog.BestEffortProbabilityOf(tenant.Class), LowBudget = [] })],
        };
    }

    private static int RequestsIn(int minute) =>
        minute is < QuietMinutes or >= LastMinute ? 0 : (int)Math.Round(Pairs * (Usual - (Swing * Math.Cos(2 * Math.PI * (minute - QuietMinutes) / PeriodMinutes))));

    private static ScenarioModel Model(string name, string instanceType, decimal perHour, int concurrency, double decode, double waySeconds) => new()
    {
        Model = name,
        Variants = [new() { Name = "full", InstanceType = instanceType, PricePerHour = Money.FromDollars(perHour), Concurrency = concurrency, PrefillTokensPerSecond = 3_000, DecodeTokensPerSecond = decode, BaseSeconds = waySeconds }],
        Lanes =
        [
            new() { Lane = Lane.Realtime, MinInstances = 1, MaxInstances = 24, ProvisionSeconds = 90, MaxPayloadBytes = MaxPayloadBytes, MaxServiceSeconds = MaxServiceSeconds },
            new()
            {
                Lane = Lane.Serverless,
                MemoryMb = 6_144,
                PricePerGbSecond = PerGigabyteSecond,
                MaxConcurrency = 120,
                ColdStartSeconds = 6,
                KeepWarmSeconds = 300,
                SpeedFactor = 0.8,
                MaxPayloadBytes = MaxPayloadBytes,
                MaxServiceSeconds = MaxServiceSeconds,
            },
        ],
    };

    private static ModelDefinition ModelOf(ScenarioModel model, ModelDefinition definition) => definition with
    {
        Variants = [.. definition.Variants.Select((variant, index) => variant with { Endpoints = [.. variant.Endpoints.Select(endpoint => Simulated(endpoint, model.Variants[index], model.LaneOf(endpoint.Lane)!))] })],
    };

    private static EndpointDefinition Simulated(EndpointDefinition endpoint, ScenarioVariant variant, ScenarioLane lane)
    {
        var speed = lane.Lane == Lane.Serverless ? lane.SpeedFactor : 1;
        return endpoint with
        {
            Simulation = new()
            {
                BaseSeconds = variant.BaseSeconds / speed,
                PrefillTokensPerSecond = variant.PrefillTokensPerSecond * speed,
                DecodeTokensPerSecond = (variant.DecodeTokensPerSecond ?? 0) * speed,
                Jitter = 0,
                StartSeconds = lane.Lane == Lane.Serverless ? lane.ColdStartSeconds : lane.ProvisionSeconds,
                KeepWarmSeconds = lane.KeepWarmSeconds,
            },
        };
    }
}
