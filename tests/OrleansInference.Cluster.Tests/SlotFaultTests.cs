using System.Collections.Concurrent;
using OrleansInference.Capacity;
using OrleansInference.Oracles;

namespace OrleansInference.Tests;

/// <summary>
/// Ten times the load that an endpoint bears, from three silos, with faults on the way. The oracle looks at what the embedded AWS itself recorded: never more
/// requests on it than it has slots, and none of a lower class sent while a more urgent one waited.
/// </summary>
[Collection(Alone.Name)]
public sealed class SlotFaultTests
{
    private const string Name = "chat-rt";
    private const int PerInstance = 4;
    private const int Instances = 2;
    private const int Slots = PerInstance * Instances;
    private const double ServiceSeconds = 0.8;

    // A request that waits is known to the endpoint's grain after a message, and on a busy machine that takes its time.
    private const long KnownAfterMs = 400;

    // What a machine does and leaves undone that stood still in the midst says nothing of the router: the load is sent again.
    private const long StoodStillMs = 250;
    private const int Tries = 4;

    [Fact]
    public async Task Under_ten_times_the_load_the_urgent_class_has_every_slot()
    {
        var waiting = 0;
        var uses = await LoadedAsync(async () =>
        {
            await using var world = await StartAsync();
            var load = await LoadAsync(world, seconds: 8, static _ => Task.CompletedTask);
            waiting = (await world.Grains.GetGrain<IEndpointGrain>(Name).GetView())!.Slots!.Waiting.Values.Sum();
            return load;
        });
        AssertHeld(uses);
        Assert.True(waiting <= 3 * 10_000);

        // From when the queue has formed to when the load ends, every slot is the urgent class's: it alone is more than they can do.
        var (from, until) = (uses.Min(static use => use.ArrivedAt) + 2_000, uses.Max(static use => use.ArrivedAt));
        var busy = uses.Where(static use => use is { SentAt: not null, Class: TrafficClass.High }).Sum(use => Math.Max(0, Math.Min(until, use.EndedAt) - Math.Max(from, use.SentAt!.Value)));
        Assert.True(busy >= 0.95 * Slots * (until - from), $"{(double)busy / (Slots * (until - from)):P1} of the slots' time was the urgent class's");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Messages_lost_and_doubled_make_neither_a_slot_too_many_nor_an_inversion(int seed)
    {
        var lost = 0;
        AssertHeld(await LoadedAsync(async () =>
        {
            await using var world = await StartAsync();
            var random = new Random(seed);
            lost = 0;
            world.SlotNetwork = async context =>
            {
                var fate = Draw(random, 40);
                if (context.MethodName == nameof(ISlotObserver.OnGrant) && fate < 4)
                {
                    Interlocked.Increment(ref lost);
                    return;
                }

                if (context.MethodName != nameof(IEndpointGrain.Refill) || fate > 2)
                {
                    await context.Invoke();
                    return;
                }

                Interlocked.Increment(ref lost);
                if (fate == 0)
                {
                    throw new TimeoutException("The report was lost.");
                }

                await context.Invoke();
                if (fate == 1)
                {
                    throw new TimeoutException("The answer was lost.");
                }

                _ = ((IEndpointGrain)context.Grain).Refill(context.Request.GetArgument(0) as LeaseReport ?? throw new InvalidOperationException(), context.Request.GetArgument(1) as EndpointDemand ?? throw new InvalidOperationException());
            };
            return await LoadAsync(world, seconds: 6, static _ => Task.CompletedTask);
        }));
        Assert.True(lost > 10);
    }

    [Fact]
    public async Task A_silo_that_is_killed_with_calls_in_flight_leaves_no_slot_too_many()
    {
        AssertHeld(await LoadedAsync(async () =>
        {
            await using var world = await StartAsync();
            return await LoadAsync(world, seconds: 8, static async cluster =>
            {
                await Task.Delay(2_000);
                await cluster.Cluster.KillSiloAsync(cluster.Cluster.SecondarySilos[0]);
            });
        }));
    }

    [Fact]
    public async Task A_control_plane_that_is_slow_refuses_and_reports_too_much_does_no_harm_beyond_what_it_reports()
    {
        var uses = await LoadedAsync(static async () =>
        {
            var random = new Random(1);
            await using var world = await StartAsync(control => new BadControlPlane(control, random));
            return await LoadAsync(world, seconds: 6, static _ => Task.CompletedTask);
        });
        AssertHeld(uses, Slots + PerInstance);
    }

    [Fact]
    public async Task When_instances_disappear_under_load_their_slots_are_no_longer_used()
    {
        long known = 0;
        var uses = await LoadedAsync(async () =>
        {
            await using var world = await StartAsync();
            return await LoadAsync(world, seconds: 14, async cluster =>
            {
                await Task.Delay(2_000);
                var control = ((Orleans.TestingHost.InProcessSiloHandle)cluster.Cluster.Silos[0]).ServiceProvider.GetService(typeof(IEndpointControl)) as IEndpointControl;
                await RouterCluster.EventuallyAsync(() => control!.SetDesiredInstancesAsync(Name, "full", 1, CancellationToken.None), static isTaken => isTaken);

                // The grain looks every five seconds.
                await RouterCluster.EventuallyAsync(() => cluster.Grains.GetGrain<IEndpointGrain>(Name).GetView(), static view => view?.Slots?.Offered == PerInstance);
                known = cluster.Clock.Now + KnownAfterMs;
            });
        });

        // Calls that have begun run to their end.
        Assert.Empty(SlotOracle.Excess(uses, at => at > known + (long)(2_000 * ServiceSeconds) ? PerInstance : Slots));
        Assert.Contains(uses, use => use.SentAt > known);
        Assert.Empty(SlotOracle.Inversions(uses, KnownAfterMs));
    }

    private static async Task<IReadOnlyList<SlotUse>> LoadedAsync(Func<Task<(IReadOnlyList<SlotUse> Uses, long LateMs)>> load)
    {
        for (var left = Tries; ; left--)
        {
            var (uses, lateMs) = await load();
            if (lateMs <= StoodStillMs || left == 1)
            {
                return uses;
            }
        }
    }

    private static void AssertHeld(IReadOnlyList<SlotUse> uses, int slots = Slots)
    {
        Assert.Empty(SlotOracle.Excess(uses, _ => slots));
        Assert.Empty(SlotOracle.Inversions(uses, KnownAfterMs));
        Assert.True(uses.Count(static use => use.SentAt is not null) > 20);
    }

    private static int Draw(Random random, int below)
    {
        lock (random)
        {
            return random.Next(below);
        }
    }

    private static async Task<RouterCluster> StartAsync(Func<IEndpointControl, IEndpointControl>? control = null)
    {
        var world = await RouterCluster.StartAsync(localModels: true);
        world.ControlPlane = control;
        var endpoint = SampleCatalog.Endpoint(Name, PerInstance) with
        {
            MinInstances = Instances,
            MaxInstances = Instances,
            Prior = new() { ServiceP50Seconds = ServiceSeconds, ServiceP99Seconds = 2 * ServiceSeconds, ColdStartSeconds = 1 },
            Simulation = new() { BaseSeconds = ServiceSeconds, DecodeTokensPerSecond = 0, Jitter = 0.05, StartSeconds = 0.5 },
            Scaling = ScalingMode.Recommend,
        };
        var catalog = SampleCatalog.Create(Money.FromDollars(1000), endpoint);
        await world.ApplyAsync(catalog with { Tenants = [.. Enumerable.Range(0, 4).Select(static i => new TenantDefinition { Id = new($"t{i}"), BestEffort = true })] });
        await RouterCluster.EventuallyAsync(() => world.Grains.GetGrain<IEndpointGrain>(Name).GetView(), static view => view?.Slots?.Offered >= Slots);
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(Request("warm", TrafficClass.High, new("t0")), CancellationToken.None), static outcome => outcome.IsAnswer);
        }

        return world;
    }

    private static InferenceRequest Request(string id, TrafficClass trafficClass, TenantId tenant) => new()
    {
        Tenant = tenant,
        Model = SampleCatalog.Model,
        Body = "{\"inputs\":\"Is it so?\"}"u8.ToArray(),
        Class = trafficClass,
        Deadline = TimeSpan.FromSeconds(trafficClass == TrafficClass.High ? 4 : 6),
        InferenceId = id,
    };

    /// <summary>Sends ten times what the slots can do, of the urgent class alone one and a half times; tells by how much a request was sent late at most.</summary>
    private static async Task<(IReadOnlyList<SlotUse> Uses, long LateMs)> LoadAsync(RouterCluster world, int seconds, Func<RouterCluster, Task> meanwhile)
    {
        const double perSecond = 10 * Slots / ServiceSeconds;
        var requests = new ConcurrentDictionary<string, (TrafficClass Class, long ArrivedAt, long LeftAt)>();
        var random = new Random(7);
        var dispatchers = world.Dispatchers();
        var began = world.Clock.Now;
        var running = new List<Task>();
        var fault = meanwhile(world);
        var (turn, lateMs) = (began, 0L);
        for (var sent = 0; world.Clock.Now - began < seconds * 1000;)
        {
            lateMs = Math.Max(lateMs, world.Clock.Now - turn);
            turn = world.Clock.Now;
            for (; sent < (world.Clock.Now - began) * perSecond / 1000; sent++)
            {
                var draw = random.NextDouble();
                var trafficClass = draw < 0.15 ? TrafficClass.High : draw < 0.5 ? TrafficClass.Medium : TrafficClass.Low;
                running.Add(SendAsync($"r{sent}", trafficClass, new($"t{random.Next(4)}"), dispatchers[sent % dispatchers.Count]));
            }

            await Task.Delay(5);
        }

        await fault;
        await Task.WhenAll(running).WaitAsync(TimeSpan.FromMinutes(2));
        await RouterCluster.EventuallyAsync(() => Task.FromResult(world.LocalAws.InvocationCounts[Name].InFlight), static inFlight => inFlight == 0);
        var seen = world.LocalAws.Invocations.Where(static record => record.InferenceId is not null).ToLookup(static record => record.InferenceId!, StringComparer.Ordinal);
        SlotUse[] uses =
        [
            .. requests.SelectMany(request => seen[request.Key].Any()
                ? seen[request.Key].Select(record => new SlotUse(request.Value.Class, request.Value.ArrivedAt, record.ReceivedAt, record.EndedAt))
                : [new(request.Value.Class, request.Value.ArrivedAt, null, request.Value.LeftAt)]),
        ];
        return (uses, lateMs);

        async Task SendAsync(string id, TrafficClass trafficClass, TenantId tenant, Dispatch.IDispatcher dispatcher)
        {
            var arrivedAt = world.Clock.Now;
            try
            {
                await dispatcher.InvokeAsync(Request(id, trafficClass, tenant), CancellationToken.None);
            }
            catch (Exception)
            {
                // Its silo was killed.
            }

            requests[id] = (trafficClass, arrivedAt, world.Clock.Now);
        }
    }

    /// <summary>Tests that measure what is done in a time, and so have the machine to themselves.</summary>
    [CollectionDefinition(Name, DisableParallelization = true)]
    public sealed class Alone
    {
        /// <summary>The collection's name.</summary>
        public const string Name = "alone";
    }

    private sealed class BadControlPlane(IEndpointControl control, Random random) : IEndpointControl
    {
        public async Task<EndpointDescription?> DescribeAsync(string endpointName, CancellationToken cancellationToken)
        {
            var fate = Draw(random, 4);
            if (fate == 0)
            {
                throw new TimeoutException("The control plane does not answer.");
            }

            await Task.Delay(fate == 1 ? 800 : 0, cancellationToken);
            return await control.DescribeAsync(endpointName, cancellationToken) is not { } described ? null
                : fate == 2 ? described with { CurrentInstanceCount = described.CurrentInstanceCount + 1 }
                : described;
        }

        public Task<bool> SetProvisionedConcurrencyAsync(string endpointName, string variantName, int executions, CancellationToken cancellationToken) => control.SetProvisionedConcurrencyAsync(endpointName, variantName, executions, cancellationToken);

        public Task<bool> SetDesiredInstancesAsync(string endpointName, string variantName, int instances, CancellationToken cancellationToken) =>
            Draw(random, 3) == 0 ? Task.FromResult(false) : control.SetDesiredInstancesAsync(endpointName, variantName, instances, cancellationToken);
    }
}
