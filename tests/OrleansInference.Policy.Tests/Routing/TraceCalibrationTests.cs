using System.Collections.Immutable;
using System.Globalization;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Routing;

/// <summary>Whether quotes come true on real traffic: the arrivals and token counts of the bundled Azure LLM trace.</summary>
public sealed class TraceCalibrationTests
{
    private const double Likely = 0.99;

    [Theory]
    [InlineData("conv", 1, 3, 1)]
    [InlineData("conv", 1, 2, 2)]
    [InlineData("conv", 2, 4, 3)]
    [InlineData("conv", 4, 2, 7)]
    [InlineData("code", 1, 2, 4)]
    [InlineData("code", 1, 1, 5)]
    [InlineData("code", 3, 3, 6)]
    public void Of_requests_quoted_99_percent_likely_98_to_100_percent_were_in_time(string trace, double rate, int instances, int seed)
    {
        var fleet = new VirtualFleet(CatalogPricing.Resolve(Catalog(instances))[0], seed);
        var random = new Random(seed);
        fleet.Run(Read(trace).Select(row =>
        {
            var trafficClass = (TrafficClass)random.Next(3);

            // From tight to easy, so that quotes lie near the target as well as far above it.
            var tightness = Math.Exp(1.5 * random.NextDouble());
            return ((long)(row.AtMs / rate), row.Input, row.Output, trafficClass, (long)(tightness * trafficClass switch { TrafficClass.High => 6_000, TrafficClass.Medium => 20_000, _ => 120_000 }));
        }));
        var bins = fleet.Calibration.Bins().Where(static bin => bin.From >= Likely).ToArray();
        var quoted = bins.Sum(static bin => bin.Quoted);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{trace} ×{rate}, {instances} instances: {quoted} quoted ≥ {Likely}, {fleet.Calibration.ShareInTime(Likely):P2} in time; refused {fleet.Refused}; {string.Join(", ", fleet.Routed.Select(static lane => $"{lane.Key} {lane.Value}"))}; "
            + string.Join(", ", bins.Select(static bin => $"{bin.From}: {bin.InTime}/{bin.Quoted}")));
        Assert.True(quoted > 1_000, $"Only {quoted} requests were quoted that likely: the test says nothing.");
        Assert.InRange(fleet.Calibration.ShareInTime(Likely)!.Value, 0.98, 1.0);
    }

    private static CatalogDefinition Catalog(int instances)
    {
        var simulation = new SimulatedModel { BaseSeconds = 0.05, PrefillTokensPerSecond = 8_000, DecodeTokensPerSecond = 60, Jitter = 0.1, StartSeconds = 4, KeepWarmSeconds = 300 };
        var prior = new LatencyPrior { ServiceP50Seconds = 2, ServiceP99Seconds = 10, ColdStartSeconds = 4 };
        EndpointDefinition Endpoint(string name, Lane lane) => new()
        {
            Name = new(name),
            Lane = lane,
            InstanceType = lane == Lane.Serverless ? "" : "ml.g5.xlarge",
            ConcurrencyPerInstance = lane == Lane.Serverless ? 1 : 8,
            MinInstances = lane == Lane.Serverless ? 0 : 1,
            MaxInstances = lane == Lane.Serverless ? 10 : instances,
            MemoryMb = lane == Lane.Serverless ? 6144 : 0,
            MaxServiceSeconds = lane == Lane.Async ? 900 : 60,
            Prior = prior,
            Simulation = simulation,
        };
        return new()
        {
            InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
            Models =
            [
                new()
                {
                    Name = new("chat"),
                    MaxOutputTokens = 1_024,
                    Variants = [new() { Name = new("full"), Endpoints = [Endpoint("realtime", Lane.Realtime), Endpoint("serverless", Lane.Serverless), Endpoint("async", Lane.Async)] }],
                },
            ],
        };
    }

    private static List<(long AtMs, int Input, int Output)> Read(string trace)
    {
        var rows = new List<(DateTime At, int Input, int Output)>();
        foreach (var line in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "traces", trace + ".csv")).Skip(1))
        {
            var fields = line.Split(',');
            rows.Add((DateTime.Parse(fields[0], CultureInfo.InvariantCulture), int.Parse(fields[1], CultureInfo.InvariantCulture), int.Parse(fields[2], CultureInfo.InvariantCulture)));
        }

        return [.. rows.Select(row => ((long)(row.At - rows[0].At).TotalMilliseconds, row.Input, row.Output))];
    }
}
