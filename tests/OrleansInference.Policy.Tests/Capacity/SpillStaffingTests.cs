using System.Collections.Immutable;
using OrleansInference.Capacity;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Capacity;

public sealed class SpillStaffingTests
{
    // 0.36 $ an hour for four slots: 25,000 nano-dollars a slot-second.
    private static readonly EndpointDefinition Instances = new()
    {
        Name = new("rt"),
        Lane = Lane.Realtime,
        InstanceType = "ml.x",
        ConcurrencyPerInstance = 4,
        MinInstances = 1,
        MaxInstances = 9,
        Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 3, ColdStartSeconds = 100 },
    };

    // 2 GB at 50,000 nano-dollars a GB-second: 100,000 a second, and half as long again for a call.
    private static readonly EndpointDefinition ByTheCall = new()
    {
        Name = new("sl"),
        Lane = Lane.Serverless,
        MemoryMb = 2048,
        MaxInstances = 20,
        Prior = new() { ServiceP50Seconds = 3, ServiceP99Seconds = 4, ColdStartSeconds = 5 },
    };

    [Fact]
    public void What_finds_no_slot_is_weighed_by_what_it_costs_by_the_call()
    {
        Assert.Equal(6.0, RatioOf(Instances, (1, [Instances, ByTheCall])), 9);
        Assert.Equal(20, Elsewhere(Instances, (1, [Instances, ByTheCall])).Slots);

        // Nowhere else, or only where it is no better: instances of the same variant, or what cannot be had.
        Assert.Equal(0, RatioOf(Instances, (1, [Instances])));
        Assert.Equal(0, RatioOf(Instances, (1, [Instances, Instances with { Name = new("rt2") }, Instances with { Name = new("as"), Lane = Lane.Async }])));
        Assert.Equal(0, RatioOf(Instances, (1, [Instances, ByTheCall with { Draining = true }])));

        // Nor where it does not take all that comes here: what streams, what is longer or larger.
        Assert.Equal(0, RatioOf(Instances with { Streaming = true }, (1, [Instances with { Streaming = true }, ByTheCall])));
        Assert.Equal(0, RatioOf(Instances, (1, [Instances, ByTheCall with { MaxServiceSeconds = 59 }])));
        Assert.Equal(0, RatioOf(Instances, (1, [Instances, ByTheCall with { MaxPayloadBytes = (4 << 20) - 1 }])));
        Assert.Equal(6.0, RatioOf(Instances, (1, [Instances, ByTheCall with { MaxPayloadBytes = 4 << 20 }])), 9);

        // A lesser variant spills to a better one's instances if those are cheaper than by the call, and a better one never to a lesser.
        var better = Instances with { Name = new("better"), Prior = Instances.Prior with { ServiceP50Seconds = 4, ServiceP99Seconds = 5 } };
        Assert.Equal(2.0, RatioOf(Instances, (0.9, [Instances, ByTheCall]), (1, [better])), 9);
        Assert.Equal(36, Elsewhere(Instances, (0.9, [Instances, ByTheCall]), (1, [better])).Slots);
        Assert.Equal(0, RatioOf(better, (0.9, [Instances, ByTheCall]), (1, [better])));

        // Only of instances in real time is it asked.
        Assert.Equal(0, RatioOf(ByTheCall, (1, [Instances, ByTheCall])));
    }

    // A slot elsewhere is as cheap as one here, or dearer: what is worth an instance, and what there is no room for elsewhere.
    [Theory]
    [InlineData(100, 1, 0, 0)]
    [InlineData(100, 1, 20, 91)]
    [InlineData(10, 1.2, 0, 4)]
    [InlineData(10, 1.2, 2, 10)]
    public void No_more_overflows_than_half_of_what_there_is_room_for(double load, double ratio, int elsewhere, int least)
    {
        var instances = SpillStaffing.Instances(load, 1, 1, 1_000, ratio, elsewhere);
        Assert.InRange(instances, least, least + 6);
        Assert.True(elsewhere == 0 || load * ErlangC.Blocking(instances, load) <= 0.5 * elsewhere);
        Assert.Equal(3, SpillStaffing.Instances(load, 1, 1, 3, 1, 1));
    }

    [Fact]
    public void Where_requests_are_turned_away_nobody_is_relied_on_elsewhere_until_none_have_been_for_long()
    {
        // Ten slots' worth of calls a second long; elsewhere a slot is a fifth dearer.
        var endpoint = Instances with { ConcurrencyPerInstance = 1, MaxInstances = 50, Prior = Instances.Prior with { ServiceP50Seconds = 1, ServiceP99Seconds = 1 } };
        var plan = new CapacityPlan(null, CapacityPlanOptions.Default);
        var (now, instances) = (1_800_000_000_000, 1);
        plan.Begin(1);
        Assert.InRange(After(minutes: 60, turnedAway: 0), 3, 6);
        Assert.InRange(After(minutes: 30, turnedAway: 5), 12, 20);
        Assert.InRange(After(minutes: 20, turnedAway: 0), 12, 20);
        Assert.InRange(After(minutes: 180, turnedAway: 0), 3, 6);

        int After(int minutes, int turnedAway)
        {
            for (var i = 0; i < minutes * 12; i++)
            {
                now += 5_000;
                instances = plan.Observe(endpoint, new()
                {
                    Now = now,
                    InService = instances,
                    Reported = instances,
                    InFlight = Math.Min(10, instances),
                    Arrivals = 50,
                    Completions = 50,
                    BusyMs = 50_000,
                    ArrivedWorkMs = 50_000,
                    UrgentArrivals = 50,
                    UrgentCompletions = 50,
                    UrgentBusyMs = 50_000,
                    UrgentWaitMs = 1_000,
                    SpillRatio = 1.2,
                    TurnedAway = turnedAway,
                }).Desired;
            }

            return instances;
        }
    }

    [Fact]
    public void Every_endpoint_of_a_catalog_is_configured_with_it_but_one_that_models_share()
    {
        var pool = Instances with { Name = new("pool"), LoadedModels = 2 };
        var shared = new EndpointDefinition { Name = new("on-pool"), Lane = Lane.Realtime, Shared = new("pool"), TargetModel = "m.tar.gz", Prior = Instances.Prior };
        var catalog = Catalog((1, [Instances, ByTheCall])) with { SharedEndpoints = [pool] };
        catalog = catalog with { Models = [.. catalog.Models, new() { Name = new("other"), Variants = [new() { Name = new("v"), Endpoints = [shared, ByTheCall with { Name = new("sl2") }] }] }] };
        var endpoints = CatalogPricing.ResolveEndpoints(catalog).ToDictionary(static endpoint => endpoint.Endpoint.Name.Value, static endpoint => endpoint.SpillRatio);
        Assert.Equal(6.0, endpoints["rt"], 9);
        Assert.Equal((0.0, 0.0, 0.0), (endpoints["sl"], endpoints["pool"], endpoints["sl2"]));
    }

    private static (double Ratio, int Slots) Elsewhere(EndpointDefinition endpoint, params (double Quality, ImmutableArray<EndpointDefinition> Endpoints)[] variants)
    {
        var configuration = CatalogPricing.Resolve(Catalog(variants))[0];
        var variant = configuration.Model!.Variants.First(each => each.Endpoints.Any(own => own.Name == endpoint.Name));
        return SpillStaffing.Elsewhere(configuration, variant, endpoint);
    }

    private static double RatioOf(EndpointDefinition endpoint, params (double Quality, ImmutableArray<EndpointDefinition> Endpoints)[] variants) => Elsewhere(endpoint, variants).Ratio;

    private static CatalogDefinition Catalog(params (double Quality, ImmutableArray<EndpointDefinition> Endpoints)[] variants) => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.x", Money.FromDollars(0.36m)),
        ServerlessPerGigabyteSecond = Money.FromNanos(50_000),
        Models = [new() { Name = new("m"), Variants = [.. variants.Select(static (variant, i) => new VariantDefinition { Name = new($"v{i}"), Quality = variant.Quality, Endpoints = variant.Endpoints })] }],
    };
}
