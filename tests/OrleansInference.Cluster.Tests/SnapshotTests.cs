using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests;

/// <summary>How changes of the catalog come to the silos.</summary>
public sealed class SnapshotTests
{
    private const int CallersOfSilo = 6;
    private static readonly Money Limit = Money.FromDollars(1_000);

    [Fact]
    public async Task Changes_of_the_catalog_under_load_reach_every_silo_and_fail_no_request()
    {
        await using var world = await RouterCluster.StartAsync();
        var one = SampleCatalog.Endpoint("chat-one", concurrency: 64);
        var two = SampleCatalog.Endpoint("chat-two", concurrency: 64);
        await world.ApplyAsync(SampleCatalog.Create(Limit, one));
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        using var stop = new CancellationTokenSource();
        var outcomes = new ConcurrentQueue<InferenceOutcome>();
        var callers = world.Dispatchers().SelectMany(dispatcher => Enumerable.Range(0, CallersOfSilo).Select(_ => Task.Run(() => LoadAsync(dispatcher, outcomes, stop.Token)))).ToArray();

        // A new endpoint, another price, one that is drained, and then gone.
        await ChangeAsync(world, SampleCatalog.Create(Limit, one, two), static explanation => explanation.Candidates.Length == 2);
        var dear = one with { Tariff = new() { PerRequest = Money.FromDollars(0.004m) } };
        await ChangeAsync(world, SampleCatalog.Create(Limit, dear, two), static explanation => explanation.Candidates[0].ChargeCap == Money.FromDollars(0.004m));
        await ChangeAsync(world, SampleCatalog.Create(Limit, dear with { Draining = true }, two), static explanation => explanation.Candidates[0].Reason.Contains("drained", StringComparison.Ordinal));

        // What was sent to the drained one has ended.
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("chat-one")), static inFlight => inFlight == 0);
        await ChangeAsync(world, SampleCatalog.Create(Limit, two), static explanation => explanation.Candidates.Length == 1);
        await stop.CancelAsync();
        await Task.WhenAll(callers);
        Assert.All(outcomes, static outcome => Assert.Null(outcome.Problem));
        Assert.Contains(outcomes, static outcome => outcome.Route!.Endpoint.Value == "chat-one");
        Assert.Contains(outcomes, static outcome => outcome.Route!.Endpoint.Value == "chat-two");
        Assert.Empty(world.Errors);
    }

    [Fact]
    public async Task A_change_whose_push_is_lost_is_learnt_at_the_next_beat()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Limit));
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        // The router's time stands still, so nothing is due but what is done at every beat.
        world.LosesSnapshots = true;
        world.Clock.StandStillAt(world.Clock.Now);
        await ChangeAsync(world, SampleCatalog.Create(Limit, SampleCatalog.Endpoint("chat-rt"), SampleCatalog.Endpoint("chat-more")), static explanation => explanation.Candidates.Length == 2);
    }

    private static async Task LoadAsync(IDispatcher dispatcher, ConcurrentQueue<InferenceOutcome> outcomes, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            outcomes.Enqueue(await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None));
        }
    }

    /// <summary>Applies a catalog and waits until every silo decides by it.</summary>
    private static async Task ChangeAsync(RouterCluster world, CatalogDefinition catalog, Func<Explanation, bool> isNew)
    {
        var start = Stopwatch.GetTimestamp();
        await world.ApplyAsync(catalog);
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(
                async () => (await dispatcher.ExplainAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)).Explanation!,
                isNew);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"in force on every silo after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s");
    }
}
