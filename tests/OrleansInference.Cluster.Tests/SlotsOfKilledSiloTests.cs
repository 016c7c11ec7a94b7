using OrleansInference.Dispatch;

namespace OrleansInference.Tests;

/// <summary>An endpoint's slots when a silo dies whose calls go on running.</summary>
public sealed class SlotsOfKilledSiloTests
{
    private const int Slots = 8;
    private const int RequestsOfSilo = 10;

    // Longer than a lease of slots, which is 40 seconds of the router's time here: it has run out long before the calls end.
    private const double LongestCallSeconds = 60;
    private const double Speed = 10;

    [Fact]
    public async Task They_are_not_given_away_while_its_calls_may_run_and_come_back_then()
    {
        await using var world = await RouterCluster.StartAsync(speed: Speed);
        var endpoint = SampleCatalog.Endpoint("chat-rt", concurrency: Slots / 2) with { MaxServiceSeconds = LongestCallSeconds };

        // Quotes learn that calls run into their limit; this tenant sends them all the same.
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(100), endpoint) with { Tenants = [new() { Id = SampleCatalog.Rich, BestEffort = true }] });
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        // Nothing answers: each call runs as long as it may, on the silo that is killed as well, for AWS does not learn of its death.
        world.Aws.Gate = new TaskCompletionSource().Task;
        var dead = world.Cluster.SecondarySilos[0];
        var all = world.Dispatchers();
        var survivors = world.Cluster.Silos.Where(silo => silo != dead).Select(world.Dispatcher).ToArray();
        var first = all.SelectMany(Flood).ToArray();
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("chat-rt")), static inFlight => inFlight == Slots);
        await world.Cluster.KillSiloAsync(dead);
        var second = survivors.SelectMany(Flood).ToArray();
        await Task.WhenAll([.. first, .. second]);
        Assert.InRange(world.Aws.MostInFlight("chat-rt"), Slots, Slots);

        // Now nothing of the dead silo runs any more: those that are left get every slot.
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                var flood = survivors.SelectMany(Flood).ToArray();
                var most = 0;
                while (!flood.All(static request => request.IsCompleted))
                {
                    most = Math.Max(most, world.Aws.InFlight("chat-rt"));
                    await Task.Delay(20, TestContext.Current.CancellationToken);
                }

                return most;
            },
            static most => most == Slots);
        Assert.InRange(world.Aws.MostInFlight("chat-rt"), Slots, Slots);
    }

    private static InferenceRequest Request() => SampleCatalog.Request(SampleCatalog.Rich, deadlineSeconds: 1.5 * LongestCallSeconds);

    private static IEnumerable<Task<InferenceOutcome>> Flood(IDispatcher dispatcher) =>
        Enumerable.Range(0, RequestsOfSilo).Select(_ => dispatcher.InvokeAsync(Request(), CancellationToken.None));
}
