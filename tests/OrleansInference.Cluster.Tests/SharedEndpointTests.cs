using System.Collections.Concurrent;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests;

/// <summary>Several models on the instances of one endpoint: their slots and their bill are one.</summary>
public sealed class SharedEndpointTests
{
    private const int Slots = 8;
    private static readonly string[] Models = ["small-a", "small-b", "small-c"];

    [Fact]
    public async Task Models_together_never_use_more_than_the_slots_and_the_instances_are_billed_once()
    {
        await using var world = await StartAsync(silos: 3);
        var targets = new ConcurrentDictionary<string, int>();
        world.Aws.Failure = call =>
        {
            targets.AddOrUpdate(call.TargetModel ?? "none", 1, static (_, count) => count + 1);
            return null;
        };
        world.Aws.Service = TimeSpan.FromMilliseconds(30);
        var outcomes = await Task.WhenAll(world.Dispatchers().SelectMany(dispatcher => Enumerable.Range(0, 60).Select(i => AskAsync(dispatcher, Models[i % Models.Length]))));
        Assert.All(outcomes, static outcome => Assert.True(outcome.IsAnswer, outcome.Problem?.Message));
        Assert.InRange(world.Aws.MostInFlight("pool"), 2, Slots);
        Assert.Equal(Models.Select(static model => $"{model}.tar.gz"), targets.Keys.Order());
        Assert.All(outcomes, static outcome => Assert.StartsWith("on-small-", outcome.Route!.Endpoint.Value, StringComparison.Ordinal));

        var view = (await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<IEndpointGrain>("pool").GetView(), view => view!.Predictions >= outcomes.Length))!;
        Assert.Equal(outcomes.Length, view.Predictions);
        Assert.Equal(Models, view.Configuration.Models.Select(static model => model.Value));
        Assert.True(view.Cost > Money.Zero);
        Assert.All(await Task.WhenAll(Models.Select(model => world.Grains.GetGrain<IEndpointGrain>($"on-{model}").GetView())), Assert.Null);
    }

    [Fact]
    public async Task A_models_load_is_in_the_quote_until_it_has_been_used_on_any_silo()
    {
        await using var world = await StartAsync(silos: 2, loadedModels: 1);
        var (one, two) = (world.Dispatchers()[0], world.Dispatchers()[1]);
        Assert.Equal(ProblemCode.DeadlineUnreachable, (await AskAsync(one, Models[0], deadline: 3)).Problem?.Code);
        Assert.True((await AskAsync(one, Models[0])).IsAnswer);
        Assert.True((await AskAsync(one, Models[0], deadline: 3)).IsAnswer);
        await RouterCluster.EventuallyAsync(() => LoadOf(two, Models[0]), static seconds => seconds == 0);

        // An instance holds one model here: another makes this one leave, on whichever silo it was asked for.
        Assert.True((await AskAsync(two, Models[1])).IsAnswer);
        Assert.True(await LoadOf(two, Models[0]) > 0);
        await RouterCluster.EventuallyAsync(() => LoadOf(one, Models[0]), static seconds => seconds > 0);
        var statistics = await RouterCluster.EventuallyAsync(
            () => world.Grains.GetGrain<IModelGrain>(Models[0]).GetStatistics(),
            static statistics => statistics!.Latency.Any(static view => view.Phase == LatencyPhase.ModelLoad));
        Assert.Equal("on-small-a", Assert.Single(statistics!.Latency, static view => view.Phase == LatencyPhase.ModelLoad).Endpoint.Value);
    }

    private static async Task<double> LoadOf(IDispatcher dispatcher, string model)
    {
        var dry = await dispatcher.ExplainAsync(Request(model, 60), TestContext.Current.CancellationToken);
        return Assert.Single(dry.Explanation!.Candidates).ModelLoadSeconds;
    }

    private static Task<InferenceOutcome> AskAsync(IDispatcher dispatcher, string model, double deadline = 60) =>
        dispatcher.InvokeAsync(Request(model, deadline), TestContext.Current.CancellationToken);

    private static InferenceRequest Request(string model, double deadline) => SampleCatalog.Request(SampleCatalog.Rich, deadline) with { Model = new(model) };

    private static async Task<RouterCluster> StartAsync(short silos, int loadedModels = 8)
    {
        var world = await RouterCluster.StartAsync(silos);
        var pool = SampleCatalog.Endpoint("pool", concurrency: Slots / 2) with { Tariff = null, LoadedModels = loadedModels };
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)) with
        {
            SharedEndpoints = [pool],
            Models =
            [
                .. Models.Select(model => new ModelDefinition
                {
                    Name = new(model),
                    Variants =
                    [
                        new()
                        {
                            Name = new("full"),
                            Endpoints =
                            [
                                new()
                                {
                                    Name = new($"on-{model}"),
                                    Lane = Lane.Realtime,
                                    Shared = pool.Name,
                                    TargetModel = $"{model}.tar.gz",
                                    Prior = new() { ServiceP50Seconds = 0.01, ServiceP99Seconds = 0.1, ModelLoadSeconds = 10 },
                                },
                            ],
                        },
                    ],
                }),
            ],
        });
        await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<IEndpointGrain>("pool").GetView(), static view => view?.Status.Slots == Slots);
        return world;
    }
}
