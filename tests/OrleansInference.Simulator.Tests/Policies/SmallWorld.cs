using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Policies.Baselines;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Policies;

/// <summary>One model with three tenants, one of each class, whose requests take as many seconds as they have input tokens.</summary>
internal static class SmallWorld
{
    public static Scenario Scenario(double days = 1, int concurrency = 1, double provisionSeconds = 240, bool hasServerless = false, int minInstances = 1) => new()
    {
        Name = "small",
        Days = days,
        Trace = new() { Format = TraceFormat.Requests, File = "none" },
        Classes = [new(2, 0.99), new(300, 0.99), new(86_400, 0.99)],
        Models =
        [
            new()
            {
                Model = "m",
                Variants = [new() { Name = "full", Concurrency = concurrency, PricePerHour = Money.FromNanos(1_000_000_000), PrefillTokensPerSecond = 1 }],
                Lanes =
                [
                    new() { Lane = Lane.Realtime, MinInstances = minInstances, MaxInstances = 50, ProvisionSeconds = provisionSeconds, MaxServiceSeconds = 60 },
                    new() { Lane = Lane.Async, MaxInstances = 50, ProvisionSeconds = provisionSeconds, MaxServiceSeconds = 3600 },
                    new() { Lane = Lane.Batch, MaxJobs = 1, MaxInstancesPerJob = 4, StartSeconds = 100, MaxServiceSeconds = 3600 },
                    .. hasServerless ? new[] { new ScenarioLane { Lane = Lane.Serverless, MemoryMb = 2048, PricePerGbSecond = Money.FromNanos(20_000), MaxConcurrency = 3, ColdStartSeconds = 1, KeepWarmSeconds = 300, MaxServiceSeconds = 60 } } : [],
                ],
            },
        ],
        Tenants =
        [
            new() { Tenant = "high", Model = "m", Class = TrafficClass.High },
            new() { Tenant = "medium", Model = "m", Class = TrafficClass.Medium },
            new() { Tenant = "low", Model = "m", Class = TrafficClass.Low },
        ],
    };

    public static Arrival At(double second, TrafficClass trafficClass, int seconds = 1) =>
        new() { AtUs = (long)(second * 1e6), Tenant = (int)trafficClass, InputTokens = seconds, Jitter = 1 };

    /// <summary>Requests at an even pace.</summary>
    public static IEnumerable<Arrival> Pace(double from, double to, double perMinute, TrafficClass trafficClass, int seconds = 1)
    {
        for (var at = from; at < to; at += 60 / perMinute)
        {
            yield return At(at, trafficClass, seconds);
        }
    }

    public static Watched Run(Scenario scenario, ModelFleet fleet, IEnumerable<Arrival> arrivals) => Run(scenario, new BaselinePolicy("test", "", fleet), arrivals);

    public static Watched Run(Scenario scenario, IFleetPolicy policy, IEnumerable<Arrival> arrivals)
    {
        var watched = new Watched(policy);
        using var script = new Script(arrivals);
        watched.World = World.Run(scenario, watched, script);
        return watched;
    }

    private sealed class Script(IEnumerable<Arrival> arrivals) : IArrivals
    {
        private readonly IEnumerator<Arrival> _arrivals = arrivals.OrderBy(static arrival => arrival.AtUs).GetEnumerator();

        public bool TryNext(out Arrival arrival)
        {
            var has = _arrivals.MoveNext();
            arrival = has ? _arrivals.Current : default;
            return has;
        }

        public void Dispose() => _arrivals.Dispose();
    }
}

/// <summary>A policy with a record of what happened.</summary>
internal sealed class Watched(IFleetPolicy inner) : IFleetPolicy
{
    private int _wanted = -1;

    public World World { get; set; } = null!;

    /// <summary>When services ended, of whom, where, and when they began; in seconds.</summary>
    public List<(double At, long Number, TrafficClass Class, Pool Pool, double Began)> Ends { get; } = [];

    /// <summary>Members of batch jobs that were served.</summary>
    public int Members { get; private set; }

    /// <summary>Most batch jobs that were there at a time.</summary>
    public int MostJobs { get; private set; }

    /// <summary>Seconds at which the first pool's number of instances wanted was changed, and to what.</summary>
    public List<(double At, int Instances)> Wants { get; } = [];

    /// <summary>Seconds at which instances of a pool came into service.</summary>
    public List<(double At, Pool Pool)> Came { get; } = [];

    public string Name => inner.Name;

    public void Begin(World world)
    {
        World = world;
        inner.Begin(world);
        Look();
    }

    public void Arrived(int request)
    {
        inner.Arrived(request);
        Look();
    }

    public void Ended(in OrleansInference.Simulator.Fleet.Request request, Pool pool)
    {
        Ends.Add((World.NowUs / 1e6, request.Number, request.Class, pool, request.StartedUs / 1e6));
        inner.Ended(request, pool);
        Look();
    }

    public void CameIntoService(Pool pool)
    {
        Came.Add((World.NowUs / 1e6, pool));
        inner.CameIntoService(pool);
    }

    public void MemberEnded(in OrleansInference.Simulator.Fleet.Request request, Pool job)
    {
        Members++;
        inner.MemberEnded(request, job);
        Look();
    }

    public void JobEnded(Pool job) => inner.JobEnded(job);

    public void Due(int timer)
    {
        inner.Due(timer);
        Look();
    }

    public void Closing() => inner.Closing();

    public int WaitingFor(Pool pool) => inner.WaitingFor(pool);

    private void Look()
    {
        MostJobs = Math.Max(MostJobs, World.Pools.Count(static pool => pool is { LaneDefinition.Lane: Lane.Batch, InService: > 0 }));
        if (World.Pools.Count > 0 && World.Pools[0].Wanted != _wanted && !World.IsClosing)
        {
            _wanted = World.Pools[0].Wanted;
            Wants.Add((World.NowUs / 1e6, _wanted));
        }
    }
}
