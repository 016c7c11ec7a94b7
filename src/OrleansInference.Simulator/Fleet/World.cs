using System.Collections.Immutable;
using OrleansInference.Simulator.Decisions;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Fleet;

/// <summary>
/// The world in virtual time: requests come as the trace has them, a policy sends them to pools, services take as long as the scenario says, and what AWS bills is
/// counted. The same scenario, policy and seed give the same course of events.
/// </summary>
public sealed class World
{
    private const int ProgressEvery = 1 << 16;
    private readonly EventHeap _ends = new();
    private readonly EventHeap _timers = new();
    private readonly EventHeap _arriving = new();
    private readonly List<Pool> _pools = [];
    private readonly IFleetPolicy _policy;
    private readonly double[] _longest;
    private readonly RequestTable _requests = new();
    private readonly ScenarioVariant[] _deadlineVariants;

    private World(Scenario scenario, IFleetPolicy policy)
    {
        (Scenario, _policy) = (scenario, policy);
        ModelOf = [.. scenario.Tenants.Select(tenant => IndexOf(scenario, tenant.Model))];
        _deadlineVariants = [.. scenario.Tenants.Select((tenant, index) => tenant.DeadlineVariant ?? scenario.Models[ModelOf[index]].FullVariant)];
        Tenants = [.. scenario.Tenants.Select(static _ => new TenantTally())];
        Timeline = new(scenario.Models.Length);
        _longest = [.. scenario.Models.Select(static model => model.Lanes.Max(static lane => lane.MaxServiceSeconds))];
    }

    /// <summary>The scenario.</summary>
    public Scenario Scenario { get; }

    /// <summary>Told what becomes of each request; null if nobody asks.</summary>
    public IDecisionLog? Log { get; private init; }

    /// <summary>Microseconds since the beginning.</summary>
    public long NowUs { get; private set; }

    /// <summary>Milliseconds as the policies' objects count them: a day is long past, so that 0 means never.</summary>
    public long NowMs => ToMs(NowUs);

    /// <summary>Requests under way, by index.</summary>
    public Span<Request> Requests => _requests.All;

    /// <summary>Pools, those of ended jobs among them.</summary>
    public IReadOnlyList<Pool> Pools => _pools;

    /// <summary>Index of each tenant's model.</summary>
    public ImmutableArray<int> ModelOf { get; }

    /// <summary>Tallies by class.</summary>
    public ImmutableArray<ClassTally> Classes { get; } = [new(), new(), new()];

    /// <summary>Tallies by tenant.</summary>
    public ImmutableArray<TenantTally> Tenants { get; }

    /// <summary>Requests that have neither been served nor missed.</summary>
    public int Outstanding => _requests.Count;

    /// <summary>Whether no more requests come.</summary>
    public bool IsClosing { get; private set; }

    /// <summary>The load of the models over time.</summary>
    public Timeline Timeline { get; }

    /// <summary>Runs a policy on a scenario to its end, and takes the sum.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="policy">The policy; it is used for nothing else.</param>
    /// <param name="how">How it was tuned.</param>
    /// <param name="progress">Told the share, 0..1, that is done.</param>
    /// <param name="log">Told what becomes of each request; null if nobody asks.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public static PolicyResult Measure(Scenario scenario, IFleetPolicy policy, string how = "", Action<double>? progress = null, IDecisionLog? log = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        ArgumentNullException.ThrowIfNull(policy);
        var began = System.Diagnostics.Stopwatch.GetTimestamp();
        using var arrivals = TraceReader.Open(scenario);
        var world = new World(scenario, policy) { Log = log };
        policy.Begin(world);
        world.Run(arrivals, progress, cancellationToken);
        return PolicyResult.Of(world, policy, how) with { WallSeconds = System.Diagnostics.Stopwatch.GetElapsedTime(began).TotalSeconds };
    }

    /// <summary>Runs a policy on a scenario to its end.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="policy">The policy; it is used for nothing else.</param>
    /// <param name="progress">Told the share, 0..1, that is done.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public static World Run(Scenario scenario, IFleetPolicy policy, Action<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        using var arrivals = TraceReader.Open(scenario);
        return Run(scenario, policy, arrivals, progress, cancellationToken);
    }

    /// <summary>Runs a policy on given arrivals of a scenario to their end.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="policy">The policy; it is used for nothing else.</param>
    /// <param name="arrivals">Requests of the scenario's tenants.</param>
    /// <param name="progress">Told the share, 0..1, that is done.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public static World Run(Scenario scenario, IFleetPolicy policy, IArrivals arrivals, Action<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(arrivals);
        var world = new World(scenario, policy);
        policy.Begin(world);
        world.Run(arrivals, progress, cancellationToken);
        return world;
    }

    /// <summary>A moment of the world as the policies' objects count it.</summary>
    public static long ToMs(long us) => 86_400_000 + (us / 1000);

    /// <summary>The first microsecond of a moment as the policies' objects count it.</summary>
    public static long ToUs(long ms) => (ms - 86_400_000) * 1000;

    /// <summary>Adds a pool.</summary>
    /// <param name="model">Index of the model.</param>
    /// <param name="variant">Index of the variant.</param>
    /// <param name="lane">The lane.</param>
    /// <param name="instances">Instances in service from the beginning.</param>
    public Pool AddPool(int model, int variant, ScenarioLane lane, int instances = 0)
    {
        var pool = new Pool(_pools.Count, Scenario.Models[model], model, variant, lane, Tenants.Length);
        pool.Put(Math.Max(instances, LeastOf(pool)), NowUs);
        _pools.Add(pool);
        return pool;
    }

    /// <summary>Whether the instances of a pool can be changed now.</summary>
    public bool CanChange(Pool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        return !Scenario.OneChangeAtATime || pool.Coming == 0 || IsClosing;
    }

    /// <summary>Wants a number of instances of a pool, within what the lane allows; nothing happens while it cannot be changed.</summary>
    public void Want(Pool pool, int instances)
    {
        if (!CanChange(pool))
        {
            return;
        }

        var before = pool.Coming;
        if (pool.Want(Math.Clamp(instances, LeastOf(pool), pool.LaneDefinition.MaxInstances), NowUs) && pool.Coming > before)
        {
            _arriving.Add(NowUs + (long)(pool.LaneDefinition.ProvisionSeconds * 1e6), pool.Index);
        }
    }

    /// <summary>Instances that the operator always keeps: of the full variant, in real time, as long as requests come.</summary>
    private int LeastOf(Pool pool) => !IsClosing && pool.LaneDefinition.Lane == Lane.Realtime && pool.VariantIndex == pool.Model.Full ? pool.LaneDefinition.MinInstances : 0;

    /// <summary>Tells the policy when a time has come.</summary>
    /// <param name="us">Microseconds.</param>
    /// <param name="timer">What it is told.</param>
    public void At(long us, int timer) => _timers.Add(Math.Max(us, NowUs), timer);

    /// <summary>Begins the service of a request.</summary>
    public void Start(int index, Pool pool)
    {
        ArgumentNullException.ThrowIfNull(pool);
        ref var request = ref _requests[index];
        var service = pool.ServiceUs(request);
        request.IsCutOff = service > pool.LimitUs;
        service = Math.Min(service, pool.LimitUs);
        var start = pool.Enter(request.Class, service, NowUs);
        request.StartedUs = NowUs + start;
        request.ColdUs = start;
        request.Pool = pool.Index;
        _ends.Add(NowUs + start + service, index);
    }

    /// <summary>Starts a batch job: after its start its instances work off the requests in order, and are released.</summary>
    public Pool StartJob(int model, int variant, ScenarioLane lane, int instances, IEnumerable<int> members)
    {
        ArgumentNullException.ThrowIfNull(lane);
        var job = new Pool(_pools.Count, Scenario.Models[model], model, variant, lane, Tenants.Length) { Members = new(members) };
        job.Put(Math.Clamp(instances, 1, lane.MaxInstancesPerJob), NowUs);
        job.Starts = job.InService;
        _pools.Add(job);
        _arriving.Add(NowUs + (long)(lane.StartSeconds * 1e6), job.Index);
        return job;
    }

    /// <summary>A request is given up.</summary>
    public void Miss(int index)
    {
        ref var request = ref _requests[index];
        Timeline.Missed(ModelOf[request.Tenant]);
        Log?.Missed(request, NowUs);
        _requests.Remove(index);
    }

    private void Run(IArrivals arrivals, Action<double>? progress, CancellationToken cancellationToken)
    {
        var horizon = (long)(Scenario.Days * 86_400e6);
        var has = arrivals.TryNext(out var next);
        long count = 0;
        var end = Scenario.IsBilledToTheEnd ? horizon : 0;
        while (has || Outstanding > 0 || Earliest < end)
        {
            var at = has ? next.AtUs : long.MaxValue;
            if (!has && !IsClosing && Earliest > end)
            {
                Close(end);
            }

            if (_ends.Earliest <= at && _ends.Earliest <= _timers.Earliest && _ends.Earliest <= _arriving.Earliest)
            {
                Advance(_ends.Earliest);
                End(_ends.Take());
            }
            else if (_arriving.Earliest <= at && _arriving.Earliest <= _timers.Earliest)
            {
                Advance(_arriving.Earliest);
                CameIntoService(_pools[_arriving.Take()]);
            }
            else if (_timers.Earliest <= at)
            {
                Advance(_timers.Earliest);
                _policy.Due(_timers.Take());
            }
            else
            {
                Advance(at);
                Arrive(next, count++);
                has = arrivals.TryNext(out next);
                if ((count & (ProgressEvery - 1)) == 0)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    progress?.Invoke(Math.Min(1, (double)NowUs / horizon));
                }
            }
        }

        if (!IsClosing)
        {
            Close(end);
        }

        foreach (var pool in _pools)
        {
            pool.Bill(NowUs);
        }

        progress?.Invoke(1);
    }

    private long Earliest => Math.Min(_ends.Earliest, Math.Min(_timers.Earliest, _arriving.Earliest));

    private void Close(long us)
    {
        Advance(Math.Max(us, NowUs));
        IsClosing = true;
        _policy.Closing();
    }

    private void Advance(long us)
    {
        Timeline.Advance(us, _pools, _policy);
        NowUs = us;
    }

    private void Arrive(in Arrival arrival, long number)
    {
        var tenant = Scenario.Tenants[arrival.Tenant];
        var unloaded = _deadlineVariants[arrival.Tenant].UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens);
        var deadline = arrival.AtUs + (long)((Scenario.Classes[(int)tenant.Class].SlackSeconds + (1.5 * unloaded)) * 1e6);
        var tally = Classes[(int)tenant.Class];
        if (unloaded > _longest[ModelOf[arrival.Tenant]])
        {
            tally.Infeasible++;
            Log?.Infeasible(number, arrival, deadline);
            return;
        }

        tally.Requests++;
        Tenants[arrival.Tenant].Requests++;
        _policy.Arrived(_requests.Add(new()
        {
            ArrivedUs = arrival.AtUs,
            DeadlineUs = deadline,
            Number = number,
            Tenant = arrival.Tenant,
            InputTokens = arrival.InputTokens,
            OutputTokens = arrival.OutputTokens,
            Jitter = arrival.Jitter,
            Class = tenant.Class,
            Pool = -1,
        }));
    }

    private void End(int index)
    {
        var request = _requests[index];
        var pool = _pools[request.Pool];
        pool.Leave(request.Class, NowUs);
        var tenant = Tenants[request.Tenant];
        var tally = Classes[(int)request.Class];
        pool.TenantUs[request.Tenant] += NowUs - request.StartedUs;
        pool.Served++;
        var isAttained = !request.IsCutOff && NowUs <= request.DeadlineUs && pool.Variant.Quality >= Scenario.Tenants[request.Tenant].MinQuality;
        if (!request.IsCutOff)
        {
            tally.Latency.Add((NowUs - request.ArrivedUs) / 1000.0);
        }

        if (isAttained)
        {
            tally.Attained++;
            tenant.Attained++;
        }
        else
        {
            Timeline.Missed(pool.ModelIndex);
        }

        Log?.Ended(request, pool, NowUs);
        _requests.Remove(index);
        if (pool.Members is { } members)
        {
            _policy.MemberEnded(request, pool);
            WorkOff(pool, members);
        }
        else
        {
            _policy.Ended(request, pool);
        }
    }

    private void CameIntoService(Pool pool)
    {
        if (pool.Members is { } members)
        {
            WorkOff(pool, members);
        }
        else if (pool.Arrive(NowUs))
        {
            _policy.CameIntoService(pool);
        }
    }

    private void WorkOff(Pool job, Queue<int> members)
    {
        while (job.InUse < job.Slots && members.TryDequeue(out var member))
        {
            Start(member, job);
        }

        if (job.InUse == 0 && job.InService > 0)
        {
            job.Want(0, NowUs);
            _policy.JobEnded(job);
        }
    }

    private static int IndexOf(Scenario scenario, string model)
    {
        for (var i = 0; i < scenario.Models.Length; i++)
        {
            if (scenario.Models[i].Model == model)
            {
                return i;
            }
        }

        throw new ArgumentException($"There is no model '{model}'.", nameof(scenario));
    }
}
