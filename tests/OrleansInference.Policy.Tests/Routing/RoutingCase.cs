using System.Collections.Immutable;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

/// <summary>A model, what is known of it, a request and a tenant, all drawn from a seed.</summary>
internal sealed class RoutingCase
{
    public const long Now = 1_800_000_000_000;

    private static readonly double[] Qualities = [0.4, 0.7, 0.7, 0.9, 1];

    public RoutingCase(int seed, int extraEndpoints = 0)
    {
        var random = new Random(seed);
        var count = random.Next(1, 11);
        Request = RandomRequest(random);
        Tenant = RandomTenant(random);
        Target = random.Next(3) == 0 ? 0.5 : 0.9 + (0.099 * random.NextDouble());
        var made = Enumerable.Range(0, count).Select(i => RandomEndpoint(random, i)).ToList();

        // Drawn after all else, so that the same seed with and without them differs in nothing but them.
        made.AddRange(Enumerable.Range(count, extraEndpoints).Select(i => RandomEndpoint(random, i)));
        Loads = [.. made.Select(e => e.Load)];
        Table = RoutingTable.Build(new()
        {
            Model = new()
            {
                Name = new("m"),
                MaxOutputTokens = 1024,
                Variants = [.. made.Select((e, i) => new VariantDefinition { Name = new($"v{i}"), Quality = e.Quality, Endpoints = [e.Endpoint] })],
            },
            Version = seed,
            TargetProbability = Target,
            ServerlessPerGigabyteTransferred = Money.FromNanos(16_000_000),
            InstanceSecondCosts = made.ToImmutableDictionary(e => e.Endpoint.Name, e => e.Cost),
            Status = [.. made.Where(e => e.Status is not null).Select(e => e.Status!)],
        });
    }

    public RoutingTable Table { get; }

    public RouteRequest Request { get; init; }

    public TenantRouting Tenant { get; init; }

    public CandidateLoad[] Loads { get; }

    public double Target { get; }

    public (Decision Decision, Quote[] Quotes) Decide()
    {
        var quotes = new Quote[Table.Candidates.Length];
        return (Router.Decide(Table, Request, Tenant, Loads, quotes), quotes);
    }

    private static (EndpointDefinition Endpoint, double Quality, EndpointStatus? Status, CandidateLoad Load, Money Cost) RandomEndpoint(Random random, int index)
    {
        var lane = (Lane)random.Next(4);
        var name = new EndpointName($"e{index}");
        var median = Math.Exp((random.NextDouble() * 6) - 3);
        var endpoint = new EndpointDefinition
        {
            Name = name,
            Lane = lane,
            InstanceType = lane == Lane.Serverless ? "" : "ml.x",
            ConcurrencyPerInstance = lane == Lane.Serverless ? 1 : random.Next(1, 9),
            MaxInstances = random.Next(8) == 0 ? 0 : random.Next(1, 10),
            MinInstances = random.Next(2),
            MemoryMb = lane == Lane.Serverless ? 2048 : 0,
            MaxPayloadBytes = random.Next(6) == 0 ? 1000 : 6_291_456,
            MaxServiceSeconds = random.Next(4) == 0 ? 2 : 60,
            Streaming = lane is Lane.Realtime or Lane.Serverless && random.Next(3) > 0,
            WindowMaxSeconds = random.Next(10, 900),
            WindowMaxRequests = random.Next(1, 100),
            Draining = random.Next(12) == 0,
            Prior = new() { ServiceP50Seconds = median, ServiceP99Seconds = median * (1 + (random.NextDouble() * 3)), ColdStartSeconds = random.Next(3) * 60, ModelLoadSeconds = index % 2 * median },
            Tariff = new()
            {
                PerSlotSecond = Money.FromNanos(random.Next(1_000_000)),
                PerRequest = Money.FromNanos(random.Next(3) * 100_000),
                PerThousandInputTokens = Money.FromNanos(random.Next(2) * random.Next(1_000_000)),
                PerThousandOutputTokens = Money.FromNanos(random.Next(2) * random.Next(1_000_000)),
                PerGigabyte = Money.FromNanos(random.Next(2) * 16_000_000),
            },
        };
        var instances = random.Next(4);
        var status = random.Next(4) == 0 ? null : new EndpointStatus
        {
            Endpoint = name,
            InService = instances,
            Desired = instances + random.Next(2),
            Slots = instances * endpoint.ConcurrencyPerInstance,
            InFlight = random.Next(10),
            Backlog = random.Next(3) * random.Next(10),
            MeanHigh = random.Next(2) == 0 ? null : random.NextDouble() * 10,
            MeanMedium = random.Next(2) == 0 ? null : random.NextDouble() * 10,
            Healthy = random.Next(10) > 0,
            MoreAt = random.Next(2) * (Now + random.Next(100_000)),
        };
        var load = new CandidateLoad
        {
            InFlight = random.Next(6),
            InFlightUrgent = random.Next(4),
            Waiting = random.Next(2) * random.Next(6),
            Available = random.Next(3),
            BreakerOpen = random.Next(15) == 0,
            WarmEnvironments = random.Next(3),
            WindowMembers = random.Next(20),
            BacklogChange = random.Next(2) * random.Next(-5, 20),
            WindowClosesAt = random.Next(2) * (Now + random.Next(300_000)),
            ModelMissing = index % 3 == 1,
        };
        return (endpoint, Qualities[random.Next(Qualities.Length)], status, load, Money.FromNanos(random.Next(1, 2_000_000)));
    }

    private static RouteRequest RandomRequest(Random random) => new()
    {
        Now = Now,
        Deadline = Now + (random.Next(20) == 0 ? -random.Next(2) : (long)Math.Exp(random.NextDouble() * 16)),
        Class = (TrafficClass)random.Next(3),
        PayloadBytes = random.Next(5) == 0 ? 5000 : random.Next(1000),
        InputTokens = random.Next(2000),
        MaxOutputTokens = random.Next(1024),
        MinQuality = random.Next(3) == 0 ? 0.7 : 0,
        MaxCharge = random.Next(4) == 0 ? Money.FromNanos(random.Next(20_000_000)) : null,
        LaneMask = random.Next(3) == 0 ? random.Next(16) : 0,
        Streaming = random.Next(6) == 0,
        CanDefer = random.Next(4) > 0,
        InlineWaitMs = random.Next(2) * random.Next(600_000),
        Seed = (ulong)random.NextInt64(),
        Excluded = random.Next(4) == 0 ? (ulong)random.Next(64) : 0,
    };

    private static TenantRouting RandomTenant(Random random) => new()
    {
        Pacing = random.Next(2) * random.NextDouble() * 3,
        ClassCeiling = (TrafficClass)(random.Next(4) == 0 ? random.Next(3) : 0),
        Policy = (RoutingPolicyKind)(random.Next(4) == 0 ? 1 : 0),
        BestEffort = random.Next(3) == 0,
        BestEffortProbability = random.Next(2) * random.NextDouble(),
        MaxAffordableCap = random.Next(2) == 0 ? Money.FromNanos((long)Math.Exp(random.NextDouble() * 18)) : null,
        LowBudget = random.Next(6) switch
        {
            0 => default,
            1 => [LowBudgetStep.CheaperLane, LowBudgetStep.Hold],
            2 => [LowBudgetStep.SmallerVariant, LowBudgetStep.CheaperLane, LowBudgetStep.Refuse],
            3 => [LowBudgetStep.Hold],
            4 => [LowBudgetStep.SmallerVariant],
            _ => [LowBudgetStep.CheaperLane, LowBudgetStep.SmallerVariant, LowBudgetStep.Refuse],
        },
    };
}
