using System.Collections.Immutable;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Pricing;

public sealed class CatalogSharingTests
{
    private static readonly EndpointDefinition Pool = new()
    {
        Name = new("pool"),
        Lane = Lane.Realtime,
        InstanceType = "ml.x",
        ConcurrencyPerInstance = 4,
        MinInstances = 1,
        MaxInstances = 3,
        MaxServiceSeconds = 30,
        Streaming = true,
        LoadedModels = 2,
    };

    private static readonly CatalogDefinition Catalog = new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.x", Money.FromDollars(3.6m)),
        SharedEndpoints = [Pool],
        Models = [Model("a"), Model("b"), new() { Name = new("alone"), Variants = [new() { Name = new("v"), Endpoints = [Pool with { Name = new("own"), LoadedModels = 0 }] }] }],
    };

    [Fact]
    public void A_model_takes_from_the_shared_endpoint_what_describes_its_instances()
    {
        Assert.Empty(CatalogValidation.Validate(Catalog));
        var resolved = CatalogPricing.Resolve(Catalog)[0];
        var endpoint = resolved.Model!.Variants[0].Endpoints[0];
        Assert.Equal(("on-a", "pool", "a.tar.gz", "pool"), (endpoint.Name.Value, endpoint.SlotsName.Value, endpoint.TargetModel, endpoint.TargetName));
        Assert.Equal((4, 1, 3, 30.0, true, 2), (endpoint.ConcurrencyPerInstance, endpoint.MinInstances, endpoint.MaxInstances, endpoint.MaxServiceSeconds, endpoint.Streaming, endpoint.LoadedModels));
        Assert.Equal(Money.FromDollars(0.001m), resolved.InstanceSecondCosts[endpoint.Name]);
        Assert.NotNull(endpoint.Tariff);
    }

    [Fact]
    public void The_shared_endpoint_is_configured_once_for_all_its_models()
    {
        var endpoints = CatalogPricing.ResolveEndpoints(Catalog);
        Assert.Equal(["pool", "own"], endpoints.Select(static endpoint => endpoint.Endpoint.Name.Value));
        Assert.Equal(["a", "b"], endpoints[0].Models.Select(static model => model.Value));
        Assert.Equal((new ModelName("a"), Money.FromDollars(0.001m)), (endpoints[0].Model, endpoints[0].InstanceSecondCost));
        Assert.Empty(endpoints[1].Models);
    }

    [Fact]
    public void A_model_that_is_not_in_memory_is_quoted_with_its_load()
    {
        var configuration = CatalogPricing.Resolve(Catalog)[0];
        var table = RoutingTable.Build(new()
        {
            Model = configuration.Model!,
            Version = 1,
            InstanceSecondCosts = configuration.InstanceSecondCosts,
            Status = [new() { Endpoint = Pool.Name, InService = 1, Desired = 1, Slots = 4 }],
        });
        Assert.Equal(4, Assert.Single(table.Candidates).Status!.Slots);
        var request = new RouteRequest { Now = 0, Deadline = 5_000, Class = TrafficClass.High, MaxOutputTokens = 100 };
        Assert.Equal(DecisionOutcome.Routed, Decide(missing: false, request).Outcome);
        Assert.Equal(DecisionOutcome.DeadlineUnreachable, Decide(missing: true, request).Outcome);
        Assert.Equal(DecisionOutcome.Routed, Decide(missing: true, request with { Deadline = 20_000 }).Outcome);

        Decision Decide(bool missing, RouteRequest request) =>
            Router.Decide(table, request, new() { LowBudget = [LowBudgetStep.Refuse] }, [new() { ModelMissing = missing }], new Quote[1]);
    }

    private static ModelDefinition Model(string name) => new()
    {
        Name = new(name),
        Variants = [new() { Name = new("v"), Endpoints = [new() { Name = new($"on-{name}"), Lane = Lane.Realtime, Shared = Pool.Name, TargetModel = $"{name}.tar.gz", Prior = new() { ModelLoadSeconds = 8 } }] }],
    };
}
