using System.Collections.Immutable;
using OrleansInference.Batch;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

public sealed class CatalogValidationTests
{
    private static readonly CatalogDefinition Good = new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.x", Money.FromNanos(1_000_000_000)),
        Models =
        [
            new()
            {
                Name = new("m"),
                Variants =
                [
                    new()
                    {
                        Name = new("v"),
                        Quality = 0.8,
                        Endpoints =
                        [
                            new() { Name = new("rt"), Lane = Lane.Realtime, InstanceType = "ml.x", MinInstances = 1, MaxInstances = 2, Streaming = true },
                            new() { Name = new("sl"), Lane = Lane.Serverless, MemoryMb = 2048, MaxInstances = 10 },
                            new() { Name = new("as"), Lane = Lane.Async, InstanceType = "ml.x", MaxServiceSeconds = 3600, MaxPayloadBytes = 1_073_741_824 },
                            new() { Name = new("ba"), Lane = Lane.Batch, InstanceType = "ml.x", MaxServiceSeconds = 3600, MaxPayloadBytes = 104_857_600 },
                        ],
                    },
                ],
            },
        ],
        Tenants =
        [
            new() { Id = new("t"), MinQuality = 0.8, Models = [new("m")], Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = 60, Limit = Money.Zero }] },
        ],
    };

    /// <summary>One thing wrong each, by the path that the problem must name (what follows a blank tells alike ones apart).</summary>
    private static readonly Dictionary<string, CatalogDefinition> Bad = new(StringComparer.Ordinal)
    {
        ["deadlines"] = Good with { Deadlines = null! },
        ["instancePrices"] = Good with { InstancePrices = null! },
        ["instancePrices.ml.x"] = Good with { InstancePrices = Good.InstancePrices.SetItem("ml.x", Money.FromNanos(-1)) },
        ["serverlessPerGigabyteSecond"] = Good with { ServerlessPerGigabyteSecond = Money.FromNanos(-1) },
        ["serverlessPerGigabyteTransferred"] = Good with { ServerlessPerGigabyteTransferred = Money.FromNanos(-1) },
        ["idleMargin"] = Good with { IdleMargin = -0.01m },
        ["idleMargin above"] = Good with { IdleMargin = 100.01m },
        ["targetProbability"] = Good with { TargetProbability = 1 },
        ["targetProbability zero"] = Good with { TargetProbability = 0 },
        ["targetProbability nan"] = Good with { TargetProbability = double.NaN },
        ["deadlines.high"] = Good with { Deadlines = new() { High = 0 } },
        ["deadlines.medium"] = Good with { Deadlines = new() { Medium = double.PositiveInfinity } },
        ["deadlines.low"] = Good with { Deadlines = new() { Low = double.NaN } },

        ["models[0].name"] = Model(model => model with { Name = default }),
        ["models[1].name"] = Good with { Models = Good.Models.Add(Good.Models[0] with { Variants = [Good.Models[0].Variants[0] with { Endpoints = [Endpoint(0) with { Name = new("other") }] }] }) },
        ["models[0].maxOutputTokens"] = Model(model => model with { MaxOutputTokens = -1 }),
        ["models[1].variants"] = Good with { Models = Good.Models.Add(new() { Name = new("empty") }) },
        ["models[0].variants[1].name"] = Model(model => model with { Variants = model.Variants.Add(new() { Name = new("v"), Endpoints = [Endpoint(0) with { Name = new("other") }] }) }),
        ["models[0].variants[0].quality"] = Variant(variant => variant with { Quality = 1.01 }),
        ["models[0].variants[1].endpoints"] = Model(model => model with { Variants = model.Variants.Add(new() { Name = new("w"), Endpoints = default }) }),
        ["models[0].variants[0].endpoints[4].name"] = Variant(variant => variant with { Endpoints = variant.Endpoints.Add(Endpoint(0)) }),
        ["models[0]"] = Variant(variant => variant with { Endpoints = [.. Enumerable.Range(0, CatalogValidation.MaxEndpointsPerModel + 1).Select(i => Endpoint(0) with { Name = new($"e{i}") })] }),

        [At(0, "name")] = Changed(0, e => e with { Name = default }),
        [At(0, "lane")] = Changed(0, e => e with { Lane = (Lane)9 }),
        [At(0, "instanceType")] = Changed(0, e => e with { InstanceType = "ml.y" }),
        [At(0, "instanceType with a tariff")] = Changed(0, e => e with { InstanceType = "ml.y", Tariff = new() { PerRequest = Money.FromNanos(1) } }),
        [At(2, "instanceType")] = Changed(2, e => e with { InstanceType = "" }),
        [At(0, "memoryMb")] = Changed(0, e => e with { MemoryMb = 1024 }),
        [At(0, "concurrencyPerInstance")] = Changed(0, e => e with { ConcurrencyPerInstance = 0 }),
        [At(0, "minInstances")] = Changed(0, e => e with { MinInstances = 0 }),
        [At(0, "minInstances above")] = Changed(0, e => e with { MinInstances = 3 }),
        [At(2, "minInstances")] = Changed(2, e => e with { MinInstances = -1 }),
        [At(3, "maxInstances")] = Changed(3, e => e with { MaxInstances = 0, MinInstances = 0 }),
        [At(0, "maxServiceSeconds")] = Changed(0, e => e with { MaxServiceSeconds = 60.5 }),
        [At(1, "maxServiceSeconds")] = Changed(1, e => e with { MaxServiceSeconds = 0 }),
        [At(2, "maxServiceSeconds")] = Changed(2, e => e with { MaxServiceSeconds = 3601 }),
        [At(0, "maxPayloadBytes")] = Changed(0, e => e with { MaxPayloadBytes = 6_291_457 }),
        [At(2, "maxPayloadBytes")] = Changed(2, e => e with { MaxPayloadBytes = 1_073_741_825 }),
        [At(3, "maxPayloadBytes")] = Changed(3, e => e with { MaxPayloadBytes = 104_857_601 }),
        [At(2, "streaming")] = Changed(2, e => e with { Streaming = true }),
        [At(3, "streaming")] = Changed(3, e => e with { Streaming = true }),
        [At(0, "scaling")] = Changed(0, e => e with { Scaling = (ScalingMode)7 }),
        [At(0, "target")] = Changed(0, e => e with { Target = "no such_name" }),
        [At(1, "instanceType")] = Changed(1, e => e with { InstanceType = "ml.x" }),
        [At(1, "concurrencyPerInstance")] = Changed(1, e => e with { ConcurrencyPerInstance = 2 }),
        [At(1, "memoryMb")] = Changed(1, e => e with { MemoryMb = 1536 }),
        [At(1, "memoryMb above")] = Changed(1, e => e with { MemoryMb = 7168 }),
        [At(1, "maxInstances")] = Changed(1, e => e with { MaxInstances = 201 }),
        [At(1, "minInstances")] = Changed(1, e => e with { MinInstances = 11 }) with { ServerlessProvisionedPerGigabyteSecond = Money.FromNanos(5_000) },
        [At(1, "maxProvisioned")] = Changed(1, e => e with { MaxProvisioned = 5 }),
        [At(1, "maxProvisioned above")] = Changed(1, e => e with { MaxProvisioned = 11 }) with { ServerlessProvisionedPerGigabyteSecond = Money.FromNanos(5_000) },
        [At(1, "minInstances unpriced")] = Changed(1, e => e with { MinInstances = 2 }),
        [At(1, "servesDeferred")] = Changed(1, e => e with { ServesDeferred = true }),
        [At(0, "maxProvisioned")] = Changed(0, e => e with { MaxProvisioned = 1 }),
        ["serverlessProvisionedPerGigabyteSecond"] = Good with { ServerlessProvisionedPerGigabyteSecond = Money.FromNanos(-1) },
        [At(3, "windowMaxRequests")] = Changed(3, e => e with { WindowMaxRequests = 0 }),
        [At(3, "windowMaxRequests above")] = Changed(3, e => e with { WindowMaxRequests = WindowLimits.MostMembers + 1 }),
        [At(3, "windowMaxSeconds")] = Changed(3, e => e with { WindowMaxSeconds = 0 }),
        [At(0, "tariff.perSlotSecond")] = Tariffed(new() { PerSlotSecond = Money.FromNanos(-1) }),
        [At(0, "tariff.perRequest")] = Tariffed(new() { PerRequest = Money.FromNanos(-1) }),
        [At(0, "tariff.perThousandInputTokens")] = Tariffed(new() { PerThousandInputTokens = Money.FromNanos(-1) }),
        [At(0, "tariff.perThousandOutputTokens")] = Tariffed(new() { PerThousandOutputTokens = Money.FromNanos(-1) }),
        [At(0, "tariff.perGigabyte")] = Tariffed(new() { PerGigabyte = Money.FromNanos(-1) }),
        [At(0, "tariff.perRequest above")] = Tariffed(new() { PerRequest = Money.MaxValue }),
        [At(0, "prior")] = Changed(0, e => e with { Prior = null! }),
        [At(0, "prior.serviceP50Seconds")] = Changed(0, e => e with { Prior = new() { ServiceP50Seconds = 0 } }),
        [At(0, "prior.serviceP50Seconds above")] = Changed(0, e => e with { Prior = new() { ServiceP50Seconds = 61, ServiceP99Seconds = 61 } }),
        [At(0, "prior.serviceP99Seconds")] = Changed(0, e => e with { Prior = new() { ServiceP50Seconds = 2, ServiceP99Seconds = 1.9 } }),
        [At(0, "prior.coldStartSeconds")] = Changed(0, e => e with { Prior = new() { ColdStartSeconds = -1 } }),
        [At(0, "simulation")] = Changed(0, e => e with { Simulation = null! }),
        [At(0, "simulation.baseSeconds")] = Simulated(new() { BaseSeconds = -1 }),
        [At(0, "simulation.prefillTokensPerSecond")] = Simulated(new() { PrefillTokensPerSecond = 0 }),
        [At(0, "simulation.decodeTokensPerSecond")] = Simulated(new() { DecodeTokensPerSecond = double.NaN }),
        [At(0, "simulation.jitter")] = Simulated(new() { Jitter = 11 }),
        [At(0, "simulation.startSeconds")] = Simulated(new() { StartSeconds = -1 }),
        [At(0, "simulation.keepWarmSeconds")] = Simulated(new() { KeepWarmSeconds = -1 }),
        [At(0, "simulation.errorRate")] = Simulated(new() { ErrorRate = 1.1 }),

        [At(0, "targetModel")] = Changed(0, e => e with { TargetModel = "a.tar.gz" }),
        [At(0, "loadedModels")] = Changed(0, e => e with { LoadedModels = 2 }),
        [At(0, "prior.modelLoadSeconds")] = Changed(0, e => e with { Prior = new() { ModelLoadSeconds = -1 } }),
        [At(0, "simulation.loadSeconds")] = Simulated(new() { LoadSeconds = -1 }),
        ["sharedEndpoints[1].name"] = Hosted(hosts => hosts.Add(Pool)),
        ["sharedEndpoints[1]"] = Hosted(hosts => hosts.Add(Pool with { Name = new("idle") })),
        ["sharedEndpoints[0].name"] = Hosted(hosts => [hosts[0] with { Name = default }]),
        ["sharedEndpoints[0].lane"] = Hosted(hosts => [hosts[0] with { Lane = Lane.Async, Streaming = false }]),
        ["sharedEndpoints[0].instanceType"] = Hosted(hosts => [hosts[0] with { InstanceType = "ml.y" }]),
        ["sharedEndpoints[0].minInstances"] = Hosted(hosts => [hosts[0] with { MinInstances = 0 }]),
        ["sharedEndpoints[0].loadedModels"] = Hosted(hosts => [hosts[0] with { LoadedModels = 0 }]),
        ["sharedEndpoints[0].targetModel"] = Hosted(hosts => [hosts[0] with { TargetModel = "a" }]),
        ["sharedEndpoints[0].shared"] = Hosted(hosts => [hosts[0] with { Shared = new("pool") }]),
        ["sharedEndpoints[0].tariff"] = Hosted(hosts => [hosts[0] with { Tariff = new() }]),
        [AtShared("shared")] = OnPool(e => e with { Shared = new("none") }, idle: true),
        [AtShared("targetModel")] = OnPool(e => e with { TargetModel = null }),
        [AtShared("targetModel empty")] = OnPool(e => e with { TargetModel = "" }),
        [AtShared("targetModel blank")] = OnPool(e => e with { TargetModel = "a b" }),
        [AtShared("targetModel long")] = OnPool(e => e with { TargetModel = new('a', 1025) }),
        [AtShared("lane")] = OnPool(e => e with { Lane = Lane.Serverless }),
        [AtShared("instanceType")] = OnPool(e => e with { InstanceType = "ml.x" }),
        [AtShared("concurrencyPerInstance")] = OnPool(e => e with { ConcurrencyPerInstance = 2 }),
        [AtShared("minInstances")] = OnPool(e => e with { MinInstances = 1 }),
        [AtShared("maxInstances")] = OnPool(e => e with { MaxInstances = 2 }),
        [AtShared("memoryMb")] = OnPool(e => e with { MemoryMb = 1024 }),
        [AtShared("maxPayloadBytes")] = OnPool(e => e with { MaxPayloadBytes = 5 }),
        [AtShared("maxServiceSeconds")] = OnPool(e => e with { MaxServiceSeconds = 5 }),
        [AtShared("target")] = OnPool(e => e with { Target = "other" }),
        [AtShared("streaming")] = OnPool(e => e with { Streaming = true }),
        [AtShared("scaling")] = OnPool(e => e with { Scaling = ScalingMode.Recommend }),
        [AtShared("loadedModels")] = OnPool(e => e with { LoadedModels = 2 }),
        [AtShared("prior.modelLoadSeconds")] = OnPool(e => e with { Prior = new() { ModelLoadSeconds = double.NaN } }),
        ["models[0].variants[0].endpoints[5].targetModel"] = Shared() is var shared
            ? shared with { Models = [shared.Models[0] with { Variants = [shared.Models[0].Variants[0] with { Endpoints = shared.Models[0].Variants[0].Endpoints.Add(User with { Name = new("again") }) }] }] }
            : null!,

        ["tenants[0].id"] = Tenant(t => t with { Id = default }),
        ["tenants[1].id"] = Good with { Tenants = Good.Tenants.Add(Good.Tenants[0]) },
        ["tenants[0].budgets"] = Tenant(t => t with { Budgets = [.. Enumerable.Repeat(t.Budgets[0], 17)] }),
        ["tenants[0].budgets[0].kind"] = Tenant(t => t with { Budgets = [t.Budgets[0] with { Kind = (BudgetWindowKind)7 }] }),
        ["tenants[0].budgets[0].limit"] = Tenant(t => t with { Budgets = [t.Budgets[0] with { Limit = Money.FromNanos(-1) }] }),
        ["tenants[0].budgets[0].seconds"] = Tenant(t => t with { Budgets = [t.Budgets[0] with { Seconds = 59 }] }),
        ["tenants[0].timeZone"] = Tenant(t => t with { TimeZone = "Mars/Olympus" }),
        ["tenants[0].classCeiling"] = Tenant(t => t with { ClassCeiling = (TrafficClass)3 }),
        ["tenants[0].defaultClass"] = Tenant(t => t with { DefaultClass = (TrafficClass)3 }),
        ["tenants[0].routing"] = Tenant(t => t with { Routing = (RoutingPolicyKind)2 }),
        ["tenants[0].weight"] = Tenant(t => t with { Weight = 0 }),
        ["tenants[0].bestEffortProbability"] = Tenant(t => t with { BestEffort = true, BestEffortProbability = 1.01 }),
        ["tenants[0].minQuality"] = Tenant(t => t with { MinQuality = 0.81 }),
        ["tenants[0].lowBudget[0]"] = Tenant(t => t with { LowBudget = [(LowBudgetStep)9] }),
        ["tenants[0].lowBudget[1]"] = Tenant(t => t with { LowBudget = [LowBudgetStep.Hold, LowBudgetStep.CheaperLane] }),
        ["tenants[0].lowBudget[1] twice"] = Tenant(t => t with { LowBudget = [LowBudgetStep.CheaperLane, LowBudgetStep.CheaperLane] }),
        ["tenants[0].models[1] low"] = Good with
        {
            Models = Good.Models.Add(new() { Name = new("low"), Variants = [new() { Name = new("v"), Quality = 0.1, Endpoints = [Endpoint(1) with { Name = new("other") }] }] }),
            Tenants = [Good.Tenants[0] with { Models = [new("m"), new("low")] }],
        },
        ["tenants[0].limits[0]"] = Tenant(t => t with { Limits = [new()] }),
        ["tenants[0].limits[0] null"] = Tenant(t => t with { Limits = [null!] }),
        ["tenants[0].limits[0].class"] = Tenant(t => t with { Limits = [new() { Class = (TrafficClass)5, MaxInFlight = 1 }] }),
        ["tenants[0].limits[0].requestsPerSecond"] = Tenant(t => t with { Limits = [new() { RequestsPerSecond = double.NaN, MaxInFlight = 1 }] }),
        ["tenants[0].limits[0].burst"] = Tenant(t => t with { Limits = [new() { Burst = 1, MaxInFlight = 1 }] }),
        ["tenants[0].limits[0].burst negative"] = Tenant(t => t with { Limits = [new() { Burst = -1, RequestsPerSecond = 1 }] }),
        ["tenants[0].limits[0].maxInFlight"] = Tenant(t => t with { Limits = [new() { MaxInFlight = -1 }] }),
        ["tenants[0].limits[1].class"] = Tenant(t => t with { Limits = [new() { MaxInFlight = 1 }, new() { RequestsPerSecond = 1 }] }),
        ["tenants[0]"] = Good with { Tenants = [null!] },
        ["tenants[0].budgets[0]"] = Tenant(t => t with { Budgets = [null!] }),
        ["models[0] null"] = Good with { Models = [null!] },
        ["models[0].variants[0]"] = Model(model => model with { Variants = [null!] }),
        [At(0, "").TrimEnd('.')] = Variant(variant => variant with { Endpoints = [null!] }),
        ["sharedEndpoints[0]"] = Shared() with { SharedEndpoints = [null!] },
        ["tenants[0].models[1]"] = Tenant(t => t with { Models = t.Models.Add(new("none")) }),
    };

    public static TheoryData<string> Cases => [.. Bad.Keys];

    [Fact]
    public void A_catalog_at_its_limits_has_no_problem()
    {
        Assert.Empty(CatalogValidation.Validate(Good));
        Assert.Empty(CatalogValidation.Validate(Shared()));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_is_wrong_is_named_by_its_path_with_a_remedy_and_nothing_else_is(string wrong)
    {
        var problem = Assert.Single(CatalogValidation.Validate(Bad[wrong]));

        Assert.StartsWith($"{wrong.Split(' ')[0]}: ", problem, StringComparison.Ordinal);
        Assert.Contains(';', problem);
    }

    [Fact]
    public void All_problems_are_found_at_once_in_catalog_order()
    {
        var problems = CatalogValidation.Validate(Good with
        {
            IdleMargin = -1,
            Models = Changed(3, e => e with { WindowMaxRequests = 0, InstanceType = "ml.y" }).Models,
            Tenants = Tenant(t => t with { Weight = double.NaN }).Tenants,
        });

        Assert.Equal(
            ["idleMargin", At(3, "instanceType"), At(3, "windowMaxRequests"), "tenants[0].weight"],
            problems.Select(problem => problem[..problem.IndexOf(": ", StringComparison.Ordinal)]));
    }

    private static EndpointDefinition Pool => new() { Name = new("pool"), Lane = Lane.Realtime, InstanceType = "ml.x", ConcurrencyPerInstance = 4, MinInstances = 1, MaxInstances = 3, Streaming = true, LoadedModels = 2 };

    private static EndpointDefinition User => new() { Name = new("on-pool"), Lane = Lane.Realtime, Shared = new("pool"), TargetModel = "m.tar.gz", Prior = new() { ModelLoadSeconds = 8 } };

    /// <summary>A fifth endpoint that is on a shared one.</summary>
    private static CatalogDefinition Shared() => Variant(variant => variant with { Endpoints = variant.Endpoints.Add(User) }) with { SharedEndpoints = [Pool] };

    private static CatalogDefinition Hosted(Func<ImmutableArray<EndpointDefinition>, ImmutableArray<EndpointDefinition>> change)
    {
        var shared = Shared();
        var hosts = change(shared.SharedEndpoints);
        return Variant(variant => variant with { Endpoints = variant.Endpoints.Add(User with { Shared = hosts[0].Name }) }) with { SharedEndpoints = hosts };
    }

    private static CatalogDefinition OnPool(Func<EndpointDefinition, EndpointDefinition> change, bool idle = false) =>
        Variant(variant => variant with { Endpoints = variant.Endpoints.Add(change(User)) }) with { SharedEndpoints = idle ? [] : [Pool] };

    private static string AtShared(string member) => At(4, member);

    private static string At(int endpoint, string member) => $"models[0].variants[0].endpoints[{endpoint}].{member}";

    private static EndpointDefinition Endpoint(int index) => Good.Models[0].Variants[0].Endpoints[index];

    private static CatalogDefinition Model(Func<ModelDefinition, ModelDefinition> change) => Good with { Models = [change(Good.Models[0])], Tenants = [] };

    private static CatalogDefinition Variant(Func<VariantDefinition, VariantDefinition> change) =>
        Model(model => model with { Variants = [change(model.Variants[0])] });

    private static CatalogDefinition Changed(int index, Func<EndpointDefinition, EndpointDefinition> change) =>
        Variant(variant => variant with { Endpoints = variant.Endpoints.SetItem(index, change(variant.Endpoints[index])) });

    private static CatalogDefinition Tariffed(Tariff tariff) => Changed(0, e => e with { Tariff = tariff });

    private static CatalogDefinition Simulated(SimulatedModel simulation) => Changed(0, e => e with { Simulation = simulation });

    private static CatalogDefinition Tenant(Func<TenantDefinition, TenantDefinition> change) => Good with { Tenants = [change(Good.Tenants[0])] };
}
