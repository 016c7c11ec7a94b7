using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansInference.Simulator.Advice;

namespace OrleansInference.Tests.Advice;

public sealed class ClusterAdviceTests : IDisposable
{
    private const double MonthHours = 720;

    // As the front door writes its views.
    private static readonly JsonSerializerOptions FrontDoor = new(JsonSerializerDefaults.Web) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };
    private readonly AdviceWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void An_idle_endpoint_saves_what_it_bills()
    {
        var advice = Assert.Single(Advise(View("idle", inService: 2, neededSlots: 0, predictions: 0, costUsd: 100)));
        Assert.Equal((AdviceKind.IdleEndpoint, "idle"), (advice.Kind, advice.Subject));
        Assert.Equal(2 * MonthHours, advice.SavesUsdPerMonth, 0);
        Assert.True(advice.IsEstimate);
    }

    [Fact]
    public void Instances_beyond_those_needed_are_named_with_the_minimum_that_keeps_them()
    {
        var advice = Assert.Single(Advise(View("wide", inService: 5, neededSlots: 7, predictions: 1_000_000, costUsd: 100, minInstances: 5)));
        Assert.Equal(AdviceKind.OverProvisioned, advice.Kind);
        Assert.Equal(3 * MonthHours, advice.SavesUsdPerMonth, 0);
        Assert.Contains("from 5 to 2", advice.Do, StringComparison.Ordinal);
    }

    [Fact]
    public void Flaps_cost_their_starts()
    {
        // 100 hours of one instance; 30 starts of 240 s are two hours of them.
        var advice = Assert.Single(Advise(View("flappy", inService: 1, neededSlots: 4, predictions: 1_000_000, costUsd: 100, flaps: 30)));
        Assert.Equal(AdviceKind.Flapping, advice.Kind);
        Assert.Equal(2 * MonthHours / 100, advice.SavesUsdPerMonth, 1);
    }

    [Fact]
    public void Another_endpoint_of_the_variant_that_is_cheaper_a_prediction_is_named()
    {
        var dear = View("dear", inService: 1, neededSlots: 4, predictions: 10_000, costUsd: 100);
        var cheap = View("cheap", inService: 0, neededSlots: 0, predictions: 10_000, costUsd: 10, lane: Lane.Serverless);
        var advice = Assert.Single(Advise(dear, cheap));
        Assert.Equal((AdviceKind.Routing, "dear"), (advice.Kind, advice.Subject));
        Assert.Equal(90 * MonthHours / 100, advice.SavesUsdPerMonth, 0);
    }

    [Fact]
    public void A_busy_endpoint_is_left_alone() =>
        Assert.Empty(Advise(View("busy", inService: 2, neededSlots: 8, predictions: 1_000_000, costUsd: 100)));

    private System.Collections.Immutable.ImmutableArray<Simulator.Advice.Advice> Advise(params EndpointView[] views)
    {
        var file = _world.PathOf("statistics.json");
        File.WriteAllBytes(file, JsonSerializer.SerializeToUtf8Bytes(views, FrontDoor));
        return ClusterAdvice.Of(file, ClusterStatistics.Read(file)).Advices;
    }

    private static EndpointView View(string name, int inService, int neededSlots, long predictions, decimal costUsd, int minInstances = 0, int flaps = 0, Lane lane = Lane.Realtime) => new()
    {
        Configuration = new()
        {
            Model = new("m"),
            Variant = new("full"),
            Endpoint = new() { Name = new(name), Lane = lane, ConcurrencyPerInstance = 4, MinInstances = minInstances, MaxInstances = 10 },
            InstanceSecondCost = Money.FromNanos(1_000_000_000L / 3600),
        },
        Status = new() { Endpoint = new(name), InService = inService, Slots = 4 * inService },
        Cost = Money.FromDollars(costUsd),
        Predictions = predictions,
        CostPerPrediction = predictions == 0 ? null : Money.FromNanos((long)(costUsd * Money.NanosPerDollar / predictions)),
        Slots = new() { Offered = 4 * inService, Limit = 4 * inService, ServiceSeconds = 1 },
        Capacity = lane == Lane.Serverless ? null : new() { Status = "InService", InService = inService, Wanted = inService, NeededSlots = neededSlots, LeadSeconds = 240, Flaps = flaps },
    };
}
