using System.Collections.Immutable;
using OrleansInference.Batch;
using OrleansInference.Pricing;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>A scenario's models as the router's catalog describes them.</summary>
public static class ScenarioCatalog
{
    // What asynchronous inference takes.
    private const long MostPayloadBytes = 1_073_741_824;

    // What the catalog allows.
    private const double LeastWindowSeconds = 0.001;
    private const double MostWindowSeconds = 604_800;

    /// <summary>The most output tokens that a request may declare.</summary>
    public const int MaxOutputTokens = 16_384;

    // Of a request that can wait: else it hardly can be in time, and takes a slot from another.
    private const double PatientBestEffort = 0.2;

    /// <summary>A model's configuration, prices filled in. Its windows are open for half as long as the most patient class can wait: whoever joins has as much left.</summary>
    /// <param name="model">The model.</param>
    /// <param name="classes">What the classes ask for.</param>
    /// <param name="seconds">How long a request takes on a variant: the median and the 99th percentile.</param>
    /// <param name="isUsed">Which variants in which lanes are described.</param>
    public static ModelConfiguration ConfigurationOf(ScenarioModel model, ImmutableArray<ClassTerms> classes, Func<ScenarioVariant, (double P50, double P99)> seconds, Func<int, Lane, bool> isUsed)
    {
        ArgumentNullException.ThrowIfNull(seconds);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(isUsed);
        var windowSeconds = Math.Clamp(classes.Max(static terms => terms.SlackSeconds) / 2, LeastWindowSeconds, MostWindowSeconds);
        var variants = ImmutableArray.CreateBuilder<VariantDefinition>();
        for (var i = 0; i < model.Variants.Length; i++)
        {
            var index = i;
            var endpoints = model.Lanes.Where(lane => isUsed(index, lane.Lane)).Select(lane => EndpointOf(model, index, lane, seconds(model.Variants[index]), windowSeconds)).ToImmutableArray();
            if (!endpoints.IsEmpty)
            {
                variants.Add(new() { Name = new(NameOf(model.Variants[i].Name)), Quality = model.Variants[i].Quality, Endpoints = endpoints });
            }
        }

        var isSized = model.Variants.Any(static variant => variant.DecodeTokensPerSecond is not null);
        return CatalogPricing.Resolve(new()
        {
            Models = [new() { Name = new(NameOf(model.Model)), Variants = variants.ToImmutable(), MaxOutputTokens = isSized ? MaxOutputTokens : 1 }],
            InstancePrices = model.Variants.DistinctBy(InstanceTypeOf).ToImmutableDictionary(InstanceTypeOf, static variant => variant.PricePerHour),
            ServerlessPerGigabyteSecond = model.LaneOf(Lane.Serverless)?.PricePerGbSecond ?? Money.Zero,
            ServerlessPerGigabyteTransferred = Money.Zero,
        })[0];
    }

    /// <summary>
    /// How likely a request of a class has to be in time to be sent, where none is as likely as it should be (<see cref="TenantDefinition.BestEffortProbability"/>; every tenant has best effort). One of
    /// <see cref="TrafficClass.High"/> is sent in any case: a serverless environment that starts too late for it serves the next one.
    /// </summary>
    public static double BestEffortProbabilityOf(TrafficClass trafficClass) => trafficClass == TrafficClass.High ? 0 : PatientBestEffort;

    /// <summary>A name that the catalog allows: what it does not is a hyphen.</summary>
    public static string NameOf(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var name = string.Concat(text.Select(static letter => char.IsAsciiLetterOrDigit(letter) ? letter : '-')).Trim('-');
        return name.Length == 0 ? "x" : name[..Math.Min(name.Length, NameRule.MaxLength)].TrimEnd('-');
    }

    /// <summary>A scenario may leave the type out; its price is known all the same.</summary>
    private static string InstanceTypeOf(ScenarioVariant variant) => variant.InstanceType.Length > 0 ? variant.InstanceType : $"ml.{NameOf(variant.Name)}";

    private static EndpointDefinition EndpointOf(ScenarioModel model, int index, ScenarioLane lane, (double P50, double P99) seconds, double windowSeconds)
    {
        var variant = model.Variants[index];
        var isServerless = lane.Lane == Lane.Serverless;
        var start = lane.Lane switch { Lane.Serverless => lane.ColdStartSeconds, Lane.Batch => lane.StartSeconds, _ => lane.ProvisionSeconds };
        return new()
        {
            Name = new(NameOf($"{model.Model}-{variant.Name}-{lane.Lane}")),
            Lane = lane.Lane,
            InstanceType = isServerless ? "" : InstanceTypeOf(variant),
            ConcurrencyPerInstance = isServerless ? 1 : variant.Concurrency,
            MinInstances = lane.Lane is Lane.Realtime or Lane.Async && index == model.Full ? lane.MinInstances : 0,
            MaxInstances = lane.Lane switch { Lane.Serverless => lane.MaxConcurrency, Lane.Batch => lane.MaxInstancesPerJob, _ => lane.MaxInstances },
            MemoryMb = lane.MemoryMb,
            MaxPayloadBytes = Math.Min(lane.MaxPayloadBytes, MostPayloadBytes),
            MaxServiceSeconds = lane.MaxServiceSeconds,
            WindowMaxRequests = WindowLimits.MostMembers,
            WindowMaxSeconds = windowSeconds,
            Prior = new()
            {
                ServiceP50Seconds = Math.Max(1e-4, seconds.P50 / lane.SpeedFactor),
                ServiceP99Seconds = Math.Max(1e-4, seconds.P99 / lane.SpeedFactor),
                ColdStartSeconds = start,
            },
        };
    }
}
