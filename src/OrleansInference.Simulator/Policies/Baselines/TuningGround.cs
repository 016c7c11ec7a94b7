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

    /// <summary>The first days of a model's traffic.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="model">Index of the model.</param>
    /// <param name="only">Requests to be looked at; null: all.</param>
    /// <param name="limitSeconds">The longest that a service may take where they are sent.</param>
    public TuningGround(Scenario scenario, int model, double limitSeconds, Func<Arrival, TrafficClass, bool>? only = null)
    {
        (Model, _only) = (model, only);
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

    /// <summary>Tries a fleet; gives it up as soon as it can no longer be within the bounds.</summary>
    /// <param name="fleet">The fleet.</param>
    /// <param name="mostNanos">The most that it may cost.</param>
    /// <param name="mustAttain">Whether it is given up once it has missed a class's target.</param>
    public Trial Try(ModelFleet fleet, long mostNanos = long.MaxValue, bool mustAttain = true)
    {
        var policy = new BaselinePolicy("trial", "", fleet);
        var isGivenUp = false;
        using var arrivals = new WatchedArrivals(Open(), () => isGivenUp = (mustAttain && HasMissed(policy.World!)) || CostOf(policy.World!) > mostNanos);
        var world = World.Run(Scenario, policy, arrivals);
        var shortfall = -1.0;
        for (var c = 0; c < 3; c++)
        {
            shortfall = Math.Max(shortfall, ShortfallOf(world, c));
        }

        return new(!isGivenUp, CostOf(world), shortfall);
    }

    /// <summary>What some instances cost that are kept for all of the days.</summary>
    public long CostOf(int instances) => (long)(instances * Definition.Variants[Definition.Full].PricePerHour.Nanos * 24 * Days);

    private static long CostOf(World world)
    {
        var cost = 0L;
        foreach (var pool in world.Pools)
        {
            cost += pool.Cost.Nanos;
        }

        return cost;
    }

    /// <summary>Share of a class's requests that is missing to its target; those that no setting helps, since the lane cuts them off, are not counted.</summary>
    private double ShortfallOf(World world, int c)
    {
        var possible = Load.ByClass[c] - Load.CutOff[c];
        return possible <= 0 ? 0 : Scenario.Classes[c].TargetAttainment - ((double)world.Classes[c].Attained / possible);
    }

    private bool HasMissed(World world)
    {
        for (var c = 0; c < 3; c++)
        {
            var possible = Load.ByClass[c] - Load.CutOff[c];
            var missed = world.Classes[c].Requests - world.Classes[c].Attained - world.Outstanding - Load.CutOff[c];
            if (missed > (1 - Scenario.Classes[c].TargetAttainment) * possible)
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
            return new(null, _tenants, Scenario, _only);
        }

        // A ServeGen client is drawn on its own; other traces are shared out over all tenants.
        return _whole.Trace.Format == TraceFormat.ServeGen
            ? new(TraceReader.Open(Scenario), null, Scenario, _only)
            : new(TraceReader.Open(_whole), _tenants, Scenario, _only);
    }

    private sealed class ChosenArrivals(IArrivals? inner, int[]? tenants, Scenario scenario, Func<Arrival, TrafficClass, bool>? only) : IArrivals
    {
        public bool TryNext(out Arrival arrival)
        {
            arrival = default;
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

        public bool TryNext(out Arrival arrival)
        {
            if ((++_count & (Every - 1)) == 0 && isHopeless())
            {
                arrival = default;
                return false;
            }

            return inner.TryNext(out arrival);
        }

        public void Dispose() => inner.Dispose();
    }
}

/// <summary>What came of trying a fleet.</summary>
/// <param name="IsWhole">Whether it was tried to the end.</param>
/// <param name="CostNanos">Its cost in nano-dollars.</param>
/// <param name="Shortfall">What the worst class was short of its target, 0..1; negative if none was.</param>
internal readonly record struct Trial(bool IsWhole, long CostNanos, double Shortfall);
