using Orleans.Runtime.Placement;
using OrleansInference.Dispatch;

namespace OrleansInference.Tests;

/// <summary>What was measured outlives the silo that held it.</summary>
public sealed class StatisticsOfKilledSiloTests
{
    private const int Requests = 15;

    [Fact]
    public async Task A_killed_silo_takes_no_latency_along_that_it_had_published()
    {
        await using var world = await RouterCluster.StartAsync();
        var doomed = world.Cluster.SecondarySilos[0];

        // Every grain of the catalog is on the silo that is going to die.
        RequestContext.Set(IPlacementDirector.PlacementHintKey, doomed.SiloAddress);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(1_000)));
        RequestContext.Remove(IPlacementDirector.PlacementHintKey);
        var host = await world.Grains.GetGrain<IManagementGrain>(0).GetActivationAddress(world.Grains.GetGrain<IModelGrain>(SampleCatalog.Model.Value));
        Assert.Equal(doomed.SiloAddress, host);
        long sent = 0;
        foreach (var dispatcher in world.Dispatchers())
        {
            sent += await SendAsync(dispatcher, Requests);
        }

        var before = await RouterCluster.EventuallyAsync(() => CountAsync(world), count => count >= sent);

        // The next snapshot has all those; a silo's decisions show that it has taken it. There is one for a sample more if for nothing else, and if for something else without that one.
        var survivor = world.Dispatcher(world.Cluster.Primary!);
        var published = (await world.Grains.GetGrain<IModelGrain>(SampleCatalog.Model.Value).GetStatistics())!.Version;
        var more = await SendAsync(survivor, 1);
        await RouterCluster.EventuallyAsync(
            () => survivor.ExplainAsync(SampleCatalog.Request(SampleCatalog.Rich), TestContext.Current.CancellationToken),
            dry => dry.Explanation!.SnapshotVersion > published);
        await world.Cluster.KillSiloAsync(doomed);
        sent = 0;
        foreach (var silo in world.Cluster.Silos.Where(silo => silo.IsActive))
        {
            sent += await SendAsync(world.Dispatcher(silo), Requests);
        }

        Assert.InRange(await RouterCluster.EventuallyAsync(() => CountAsync(world), count => count >= before + sent), before + sent, before + sent + more);
    }

    /// <summary>Sends until as many as asked for were answered; says how many were sent, which are the samples.</summary>
    private static async Task<long> SendAsync(IDispatcher dispatcher, int requests)
    {
        var answered = 0;
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                var outcome = await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), TestContext.Current.CancellationToken);
                return answered += outcome.IsAnswer ? 1 : 0;
            },
            count => count >= requests);
        return answered;
    }

    private static async Task<long> CountAsync(RouterCluster world)
    {
        try
        {
            var statistics = await world.Grains.GetGrain<IModelGrain>(SampleCatalog.Model.Value).GetStatistics();
            return statistics!.Latency.Where(static view => view.Phase == LatencyPhase.Service).Sum(static view => view.Count);
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            // The death of its silo is not known everywhere yet.
            return -1;
        }
    }
}
