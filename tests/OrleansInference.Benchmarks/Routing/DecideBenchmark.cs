using OrleansInference.Latency;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Benchmarks.Routing;

/// <summary>One decision over eight candidates with measured latencies, for requests of all classes and sizes.</summary>
internal static class DecideBenchmark
{
    private const int Operations = 200_000;
    private const int Requests = 256;
    private const long Now = 1_700_000_000_000;

    public static void Run(Figures figures)
    {
        figures.Say("decide over 8 candidates");
        var table = Table();
        var loads = Loads(table);
        var requests = MakeRequests();
        var quotes = new Quote[table.Candidates.Length];
        var tenant = new TenantRouting { Pacing = 0.4, LowBudget = [LowBudgetStep.CheaperLane, LowBudgetStep.SmallerVariant, LowBudgetStep.Refuse] };
        var routed = 0;
        void Decide(int i) => routed += Router.Decide(table, requests[i % Requests], tenant, loads, quotes).HasRoute ? 1 : 0;
        void Loop(int operations)
        {
            for (var i = 0; i < operations; i++)
            {
                Decide(i);
            }
        }

        var (nanoseconds, bytes) = Rounds.Measure(Operations, Loop);
        figures.Print("routing.decide.p10_of_rounds", nanoseconds, "ns", null, Better.Low);
        figures.Print("routing.decide.p99", Latencies.Quantile(Operations, 0.99, Decide) / 1000, "us", 5, Better.Low);
        figures.Print("routing.decide.allocated", bytes, "B", 0, Better.Low);
        if (routed == 0)
        {
            throw new InvalidOperationException("No request found a route: the benchmark measures refusals.");
        }
    }

    internal static RoutingTable Table()
    {
        var random = new Random(11);
        var statistics = new LatencyStatistics();
        var recorder = new LatencyRecorder(1);
        foreach (var endpoint in BenchmarkCatalog.Chat.Variants.SelectMany(variant => variant.Endpoints))
        {
            for (var i = 0; i < 4_000; i++)
            {
                recorder.Record(endpoint.Name, LatencyPhase.Service, random.Next(SizeClass.Count), 200 * Math.Exp(0.5 * Normal(random)));
                recorder.Record(endpoint.Name, LatencyPhase.ColdStart, 0, 60_000 * Math.Exp(0.2 * Normal(random)));
            }
        }

        statistics.Merge(new() { Holder = "silo", Sequence = 1, Deltas = recorder.Drain() }, Now);
        var configuration = CatalogPricing.Resolve(BenchmarkCatalog.Catalog)[0];
        var endpoints = configuration.Model!.Variants.SelectMany(variant => variant.Endpoints);
        return RoutingTable.Build(new()
        {
            Model = configuration.Model,
            Version = 1,
            InstanceSecondCosts = configuration.InstanceSecondCosts,
            ServerlessPerGigabyteTransferred = configuration.ServerlessPerGigabyteTransferred,
            Latency = statistics.Publish(Now),
            Status = [.. endpoints.Where(endpoint => endpoint.Lane is Lane.Realtime or Lane.Async).Select(endpoint => new EndpointStatus { Endpoint = endpoint.Name, InService = 4, Desired = 5, Slots = 64, InFlight = 50, Backlog = 3, MoreAt = Now + 30_000 })],
        });
    }

    private static CandidateLoad[] Loads(RoutingTable table) =>
        [.. table.Candidates.Select(candidate => new CandidateLoad { InFlight = 30 + (candidate.Index * 5), Waiting = candidate.Index % 3, Available = 4, WarmEnvironments = 2 })];

    private static RouteRequest[] MakeRequests()
    {
        var random = new Random(5);
        var requests = new RouteRequest[Requests];
        for (var i = 0; i < requests.Length; i++)
        {
            var trafficClass = (TrafficClass)(i % 3);
            requests[i] = new()
            {
                Now = Now,
                Deadline = Now + trafficClass switch { TrafficClass.High => 2_000, TrafficClass.Medium => 300_000, _ => 86_400_000 },
                Class = trafficClass,
                PayloadBytes = random.Next(100, 20_000),
                InputTokens = random.Next(10, 5_000),
                MaxOutputTokens = random.Next(10, 1_024),
                CanDefer = trafficClass != TrafficClass.High,
                Seed = (ulong)i,
            };
        }

        return requests;
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
