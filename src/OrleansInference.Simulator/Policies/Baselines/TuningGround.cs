using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>The first days of one model's traffic, on which a baseline is tuned.</summary>
internal sealed class TuningGround
{
    /// <summary>Days on which baselines are tuned.</summary>
    public const double MostDays = 3;

    private readonly Scenario _whole;
    private readonly int[] _tenants;
    private readonly Func<Arrival, TrafficClass, bool>? _only;
    private readonly long[] _possible = new long[3];
    private readonly IReadOnlyList<long> _totals;
    private readonly CancellationToken _cancellationToken;

    /// <summary>The first days of a model's traffic.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="model">Index of the model.</param>
    /// <param name="totals">Requests of all models by class (<see cref="Count"/>).</param>
    /// <param name="limitSeconds">The longest that a service may take where they are sent.</param>
    /// <param name="only">Requests to be looked at; null: all.</param>
    /// <param name="cancellationToken">Ends all that is done on it.</param>
    public TuningGround(Scenario scenario, int model, IReadOnlyList<long> totals, double limitSeconds, Func<Arrival, TrafficClass, bool>? only = null, CancellationToken cancellationToken = default)
    {
        (Model, _totals, _only, _cancellationToken) = (model, totals, only, cancellationToken);
        Days = Math.Min(MostDays, scenario.Days);
        _whole = scenario with { Days = Days };
        var name = scenario.Models[model].Model;
        _tenants = new int[scenario.Tenants.Length];
        var kept = ImmutableArray.CreateBuilder<ScenarioTenant>();
        for (var i = 0; i < _tenants.Length; i++)
        {
            _tenants[i] = scenario.Tenants[i].Model == name ? kept.Count : -1;
            if (_tenants[i] >= 0)
            {
                kept.Add(scenario.Tenants[i]);
            }
        }

        Scenario = _whole with { Tenants = kept.ToImmutable() };
        using var arrivals = Open();
        Load = LoadProfile.Measure(scenario.Models[model], Scenario.Tenants, arrivals, Days, limitSeconds);
    }

    /// <summary>Index of the model.</summary>
    public int Model { get; }

    /// <summary>Days.</summary>
    public double Days { get; }

    /// <summary>The scenario with this model's tenants only.</summary>
    public Scenario Scenario { get; }

    /// <summary>The model.</summary>
    public ScenarioModel Definition => Scenario.Models[Model];

    /// <summary>The load.</summary>
    public LoadProfile Load { get; }

    /// <summary>Counts the first days' requests of all models by class.</summary>
    public static IReadOnlyList<long> Count(Scenario scenario, CancellationToken cancellationToken)
    {
        var counts = new long[3];
        using var arrivals = new ChosenArrivals(TraceReader.Open(scenario with { Days = Math.Min(MostDays, scenario.Days) }), null, scenario, null, cancellationToken);
        while (arrivals.TryNext(out var arrival))
        {
            counts[(int)scenario.Tenants[arrival.Tenant].Class]++;
        }

        return counts;
    }

    /// <summary>
    /// Finds out what is possible: requests that even the most generous fleet misses no setting helps, and its user does not count them.
    /// </summary>
    /// <param name="largest">The fleet.</param>
    /// <returns>Its cost in nano-dollars.</returns>
    public long Learn(ModelFleet largest)
    {
        var world = World.Run(Scenario, new BaselinePolicy("largest", "", largest), Open());
        for (var c = 0; c < _possible.Length; c++)
        {
            _possible[c] = world.Classes[c].Attained;
        }

        return CostOf(world);
    }

    /// <summary>Tries a fleet, and gives it up as soon as it has missed a class's target or costs too much.</summary>
    /// <param name="fleet">The fleet.</param>
    /// <param name="mostNanos">What it is to cost less than.</param>
    /// <param name="costNanos">What it costs, in nano-dollars; if it was given up, so far.</param>
    public TrialOutcome Try(ModelFleet fleet, long mostNanos, out long costNanos)
    {
        var policy = new BaselinePolicy("trial", "", fleet);
        var outcome = TrialOutcome.Met;
        TrialOutcome Judge() => outcome != TrialOutcome.Met ? outcome
            : HasMissed(policy.World!) ? TrialOutcome.Missed
            : CostOf(policy.World!) >= mostNanos ? TrialOutcome.TooDear : TrialOutcome.Met;

        using var arrivals = new WatchedArrivals(Open(), () => (outcome = Judge()) != TrialOutcome.Met);
        var world = World.Run(Scenario, policy, arrivals);
        costNanos = CostOf(world);
        return Judge();
    }

    /// <summary>What some instances cost that are kept for all of the days.</summary>
    public long CostOf(int instances) => (long)(instances * Definition.FullVariant.PricePerHour.Nanos * 24 * Days);

    private static long CostOf(World world)
    {
        var cost = 0L;
        foreach (var pool in world.Pools)
        {
            cost += pool.Cost.Nanos;
        }

        return cost;
    }

    private bool HasMissed(World world)
    {
        for (var c = 0; c < _possible.Length; c++)
        {
            // Of those that are under way it is not known yet.
            var missed = world.Classes[c].Requests - world.Classes[c].Attained - world.Outstanding - (Load.ByClass[c] - _possible[c]);
            // A target is a class's, over all models: what it leaves room for is shared out, one half by their requests, the other evenly.
            if (missed > (1 - Scenario.Classes[c].TargetAttainment) * 0.5 * (_possible[c] + ((double)_totals[c] / Scenario.Models.Length)))
            {
                return true;
            }
        }

        return false;
    }

    private ChosenArrivals Open()
    {
        if (Scenario.Tenants.IsEmpty)
        {
            return new(null, _tenants, Scenario, _only, _cancellationToken);
        }

        // A ServeGen client is drawn on its own; other traces are shared out over all tenants.
        return _whole.Trace.Format == TraceFormat.ServeGen
            ? new(TraceReader.Open(Scenario), null, Scenario, _only, _cancellationToken)
            : new(TraceReader.Open(_whole), _tenants, Scenario, _only, _cancellationToken);
    }

    private sealed class ChosenArrivals(IArrivals? inner, int[]? tenants, Scenario scenario, Func<Arrival, TrafficClass, bool>? only, CancellationToken cancellationToken) : IArrivals
    {
        private const int Every = 1 << 12;
        private int _count;

        public bool TryNext(out Arrival arrival)
        {
            arrival = default;
            if ((++_count & (Every - 1)) == 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
            }

            while (inner is not null && inner.TryNext(out arrival))
            {
                if (tenants is not null)
                {
                    arrival.Tenant = tenants[arrival.Tenant];
                }

                if (arrival.Tenant >= 0 && (only is null || only(arrival, scenario.Tenants[arrival.Tenant].Class)))
                {
                    return true;
                }
            }

            return false;
        }

        public void Dispose() => inner?.Dispose();
    }

    private sealed class WatchedArrivals(IArrivals inner, Func<bool> isHopeless) : IArrivals
    {
        private const int Every = 1 << 12;
        private int _count;

        public bool IsGivenUp { get; private set; }

        public bool TryNext(out Arrival arrival)
        {
            if (IsGivenUp || ((++_count & (Every - 1)) == 0 && isHopeless()))
            {
                IsGivenUp = true;
                arrival = default;
                return false;
            }

            return inner.TryNext(out arrival);
        }

        public void Dispose() => inner.Dispose();
    }
}

/// <summary>What came of trying a fleet.</summary>
internal enum TrialOutcome
{
    /// <summary>It meets the targets at less than the cost.</summary>
    Met,

    /// <summary>It misses the target of a class.</summary>
    Missed,

    /// <summary>It costs too much; whether it would meet the targets is not known.</summary>
    TooDear,
}
