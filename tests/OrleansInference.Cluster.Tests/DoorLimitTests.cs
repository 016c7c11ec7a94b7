using Microsoft.Extensions.Time.Testing;

namespace OrleansInference.Tests;

/// <summary>Limits of a tenant at the door, across silos.</summary>
public sealed class DoorLimitTests
{
    // Calls are held up for the test's sake, and a busy machine holds them up further: as long as a call may run.
    private const double LongSeconds = 60;

    [Fact]
    public async Task Three_silos_together_admit_the_burst_and_the_rates_worth_of_the_time_and_no_more()
    {
        const int perSecond = 20, burst = 30;

        // Time passes a tenth of a second after each round of requests, however long the machine takes for that.
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await RouterCluster.StartAsync(clock: new(time));
        await ApplyAsync(world, new() { RequestsPerSecond = perSecond, Burst = burst });
        var dispatchers = world.Dispatchers();
        var began = world.Clock.Now;
        var admitted = 0;
        var refused = new List<InferenceOutcome>();
        for (var round = 1; round <= 50; round++)
        {
            var outcomes = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => dispatchers[i % dispatchers.Count].InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)));
            admitted += outcomes.Count(static outcome => outcome.IsAnswer);
            refused.AddRange(outcomes.Where(static outcome => !outcome.IsAnswer));
            time.Advance(TimeSpan.FromSeconds(0.1));
            if (round % 10 == 0)
            {
                await world.BeatAsync();
            }
        }

        var most = burst + (perSecond * (world.Clock.Now - began) / 1_000d) + 1;
        Assert.InRange(admitted, 0.5 * most, most);
        Assert.All(refused, static outcome => Assert.Equal(ProblemCode.Throttled, outcome.Problem!.Code));
        Assert.All(refused, static outcome => Assert.True(outcome.Problem!.RetryAfter > TimeSpan.Zero));
        var quota = Assert.Single(refused[^1].Limits);
        Assert.Equal((true, burst, perSecond), (quota.IsRate, quota.Limit, quota.PerSecond));
        Assert.Equal(admitted, world.Aws.Calls);
    }

    [Fact]
    public async Task No_more_requests_are_in_flight_on_all_silos_than_may_and_each_class_has_a_limit_of_its_own()
    {
        const int most = 6;
        await using var world = await RouterCluster.StartAsync();
        await ApplyAsync(world, new() { Class = TrafficClass.High, MaxInFlight = most });
        var dispatchers = world.Dispatchers();
        foreach (var dispatcher in dispatchers)
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.Medium), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var running = new List<Task<InferenceOutcome>>();
        await RouterCluster.EventuallyAsync(
            () =>
            {
                // A place that one silo has over is another's within its beat.
                running.AddRange(dispatchers.Select(static dispatcher => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None)));
                return Task.FromResult(world.Aws.InFlight("chat-rt"));
            },
            static inFlight => inFlight == most);
        running.AddRange(Enumerable.Range(0, 30).Select(i => dispatchers[i % dispatchers.Count].InvokeAsync(Request(TrafficClass.High), CancellationToken.None)));
        await RouterCluster.EventuallyAsync(() => Task.FromResult(running.Count(static one => !one.IsCompleted)), static left => left == most);
        Assert.Equal(most, world.Aws.MostInFlight("chat-rt"));

        // Another class is not concerned.
        var other = dispatchers[0].InvokeAsync(Request(TrafficClass.Medium), CancellationToken.None);
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("chat-rt")), static inFlight => inFlight == most + 1);
        gate.SetResult();
        Assert.True((await other).IsAnswer);
        var outcomes = await Task.WhenAll(running);
        Assert.Equal(most, outcomes.Count(static outcome => outcome.IsAnswer));
        Assert.All(outcomes, static outcome => Assert.Equal((false, most), (outcome.Limits[0].IsRate, outcome.Limits[0].Limit)));

        // What has ended makes room, on every silo.
        foreach (var dispatcher in dispatchers)
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);
        }
    }

    [Fact]
    public async Task A_stream_is_in_flight_until_it_has_been_read_and_a_limit_that_is_lifted_holds_no_more()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await ApplyAsync(world, new() { MaxInFlight = 1 });
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);
        await using (var stream = await dispatcher.InvokeStreamAsync(Request(TrafficClass.High), CancellationToken.None))
        {
            Assert.NotNull(stream.Stream);
            Assert.Equal(ProblemCode.Throttled, (await dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None)).Problem!.Code);
            await foreach (var _ in stream.Stream.ReadPartsAsync(CancellationToken.None))
            {
                // To its end.
            }
        }

        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        await RouterCluster.EventuallyAsync(
            () => Task.WhenAll(Enumerable.Range(0, 8).Select(_ => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None))),
            static outcomes => outcomes.All(static outcome => outcome.IsAnswer && outcome.Limits.IsEmpty));
    }

    [Fact]
    public async Task Breaking_off_does_not_make_room_while_the_model_goes_on()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await ApplyAsync(world, new() { MaxInFlight = 2 });
        var dispatcher = world.Dispatchers()[0];
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        for (var running = 1; running <= 2; running++)
        {
            using var givesUp = new CancellationTokenSource();
            var asked = dispatcher.InvokeAsync(Request(TrafficClass.High), givesUp.Token);
            await RouterCluster.EventuallyAsync(() => Task.FromResult(world.Aws.InFlight("chat-rt")), inFlight => inFlight == running);
            await givesUp.CancelAsync();
            await asked;
        }

        for (var i = 0; i < 8; i++)
        {
            using var givesUp = new CancellationTokenSource(50);
            await dispatcher.InvokeAsync(Request(TrafficClass.High), givesUp.Token);
        }

        Assert.Equal(2, world.Aws.MostInFlight("chat-rt"));
        gate.SetResult();
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);
    }

    [Fact]
    public async Task A_flood_of_one_tenant_does_not_have_another_refused_for_its_deadline()
    {
        // No time passes, so that no deadline does: what counts is whose turn comes before whose.
        await using var world = await RouterCluster.StartAsync(silos: 1, clock: new(new FakeTimeProvider(DateTimeOffset.UtcNow)));
        var catalog = SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt", concurrency: 1) with { Prior = new() { ServiceP50Seconds = 0.2, ServiceP99Seconds = 0.4 } });
        await world.ApplyAsync(catalog with { Tenants = [catalog.Tenants[0], new() { Id = new("other") }] });
        var dispatcher = world.Dispatchers()[0];
        world.Aws.Service = TimeSpan.FromMilliseconds(200);
        await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request(TrafficClass.High), CancellationToken.None), static outcome => outcome.IsAnswer);

        // Two slots, ten calls a second, and 150 of one tenant wait: the other's turn comes at once all the same.
        var gate = new TaskCompletionSource();
        world.Aws.Gate = gate.Task;
        var flood = Enumerable.Range(0, 150).Select(_ => dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich, 60), CancellationToken.None)).ToArray();
        await RouterCluster.EventuallyAsync(async () => (await world.Grains.GetGrain<IEndpointGrain>("chat-rt").GetView())!.Slots!.Waiting[TrafficClass.High], static waiting => waiting > 100);
        for (var i = 0; i < 5; i++)
        {
            // Behind the hundred that wait it would come ten seconds later.
            var asked = dispatcher.InvokeAsync(SampleCatalog.Request(new("other"), 8), CancellationToken.None);
            gate.TrySetResult();
            var outcome = await asked;
            Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
            Assert.InRange(flood.Count(static one => !one.IsCompleted), 50, flood.Length);
        }

        await Task.WhenAll(flood);
    }

    private static InferenceRequest Request(TrafficClass trafficClass) => SampleCatalog.Request(SampleCatalog.Rich, LongSeconds) with { Class = trafficClass };

    private static Task ApplyAsync(RouterCluster world, LimitDefinition limit)
    {
        var catalog = SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-rt") with { MaxServiceSeconds = LongSeconds });
        return world.ApplyAsync(catalog with { Tenants = [catalog.Tenants[0] with { Limits = [limit] }] });
    }
}
