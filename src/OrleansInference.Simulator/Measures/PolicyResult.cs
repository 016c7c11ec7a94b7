using System.Collections.Immutable;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Measures;

/// <summary>What a policy came to on a scenario.</summary>
public sealed record PolicyResult
{
    /// <summary>The policy.</summary>
    public required string Name { get; init; }

    /// <summary>How it was tuned, or what was switched off; empty if nothing.</summary>
    public string How { get; init; } = "";

    /// <summary>What AWS bills.</summary>
    public required Money Cost { get; init; }

    /// <summary>What no policy can be cheaper than that answers as many requests of each model and class in time; null if that is not known.</summary>
    public Money? LowerBound { get; init; }

    /// <summary>By <see cref="TrafficClass"/>.</summary>
    public required ImmutableArray<ClassTally> Classes { get; init; }

    /// <summary>Billed instance-hours.</summary>
    public required double InstanceHours { get; init; }

    /// <summary>Share of the billed slot-time in which a request was served, 0..1.</summary>
    public required double Utilization { get; init; }

    /// <summary>Changes of the number of instances wanted.</summary>
    public required int ScaleChanges { get; init; }

    /// <summary>Cost by lane.</summary>
    public required ImmutableArray<(Lane Lane, Money Cost, long Served)> Lanes { get; init; }

    /// <summary>What each variant cost in each lane, and for how much of that it was busy.</summary>
    public required ImmutableArray<PoolSum> Pools { get; init; }

    /// <summary>Cost by tenant, by index: each pool's cost shared by the slot-time that the tenants used of it.</summary>
    public required ImmutableArray<Money> TenantCosts { get; init; }

    /// <summary>By tenant, by index.</summary>
    public required ImmutableArray<TenantTally> Tenants { get; init; }

    /// <summary>What became of the tenants' budgets; empty if there are none, or the policy knows none.</summary>
    public ImmutableArray<BudgetResult> Budgets { get; init; } = [];

    /// <summary>By model, by index: steps of <see cref="Measures.Timeline.StepUs"/>.</summary>
    public required ImmutableArray<ImmutableArray<LoadPoint>> Timeline { get; init; }

    /// <summary>Wall seconds that the simulation took; not part of what is written.</summary>
    public double WallSeconds { get; init; }

    /// <summary>Sums up a world that has come to its end.</summary>
    internal static PolicyResult Of(World world, IFleetPolicy policy, string how)
    {
        var pools = world.Pools.GroupBy(static pool => (pool.ModelIndex, pool.VariantIndex, pool.LaneDefinition.Lane)).Select(static group => PoolSum.Of(group.Key, group)).ToImmutableArray();
        var slotUs = world.Pools.Aggregate(Int128.Zero, static (sum, pool) => sum + pool.SlotUs);
        return new()
        {
            Name = policy.Name,
            How = how,
            Cost = pools.Aggregate(Money.Zero, static (sum, pool) => sum + pool.Cost),
            Classes = world.Classes,
            InstanceHours = (double)world.Pools.Aggregate(Int128.Zero, static (sum, pool) => sum + pool.InstanceUs) / 3.6e9,
            Utilization = slotUs == 0 ? 0 : (double)world.Pools.Aggregate(Int128.Zero, static (sum, pool) => sum + pool.BusyUs) / (double)slotUs,
            ScaleChanges = world.Pools.Sum(static pool => pool.Members is null ? pool.Changes : 0),
            Lanes = [.. Enum.GetValues<Lane>().Select(lane => pools.Where(pool => pool.Lane == lane).Aggregate((Lane: lane, Cost: Money.Zero, Served: 0L), static (sum, pool) => (sum.Lane, sum.Cost + pool.Cost, sum.Served + pool.Served)))],
            Pools = pools,
            TenantCosts = SharesOf(world),
            Tenants = world.Tenants,
            Budgets = policy.Budgets,
            Timeline = world.Timeline.ByModel,
        };
    }

    /// <summary>Shares each pool's cost over the tenants by the slot-time they used of it, exactly.</summary>
    private static ImmutableArray<Money> SharesOf(World world)
    {
        var tenants = new long[world.Tenants.Length];
        foreach (var pool in world.Pools)
        {
            var used = pool.TenantUs.Aggregate(Int128.Zero, static (sum, us) => sum + us);
            Int128 before = 0;
            long told = 0;
            for (var tenant = 0; tenant < tenants.Length && used > 0; tenant++)
            {
                before += pool.TenantUs[tenant];
                var upTo = (long)(before * pool.Cost.Nanos / used);
                tenants[tenant] += upTo - told;
                told = upTo;
            }
        }

        return [.. tenants.Select(Money.FromNanos)];
    }

    /// <summary>Requests of all classes, those that no lane can serve not among them.</summary>
    public long Requests => Classes.Sum(static tally => tally.Requests);

    /// <summary>Requests that no lane can serve.</summary>
    public long Infeasible => Classes.Sum(static tally => tally.Infeasible);
}

/// <summary>What a variant came to in a lane.</summary>
/// <param name="Model">Index of the model.</param>
/// <param name="Variant">Index of the variant.</param>
/// <param name="Lane">The lane.</param>
/// <param name="Cost">What AWS bills.</param>
/// <param name="Hours">Billed instance-hours; serverless: hours of executions.</param>
/// <param name="Utilization">Share of the billed slot-time in which a request was served, 0..1.</param>
/// <param name="Served">Requests served.</param>
/// <param name="Starts">Serverless: executions that started cold; batch: instances of all jobs; else 0.</param>
public readonly record struct PoolSum(int Model, int Variant, Lane Lane, Money Cost, double Hours, double Utilization, long Served, long Starts = 0)
{
    /// <summary>Sums up pools of one variant in one lane.</summary>
    internal static PoolSum Of((int Model, int Variant, Lane Lane) key, IEnumerable<Pool> pools)
    {
        var (cost, billed, slots, busy, served, starts) = (Money.Zero, 0.0, 0.0, 0.0, 0L, 0L);
        foreach (var pool in pools)
        {
            cost += pool.Cost;
            billed += pool.BilledUs;
            slots += (double)pool.SlotUs;
            busy += pool.BusyUs;
            served += pool.Served;
            starts += pool.Starts;
        }

        return new(key.Model, key.Variant, key.Lane, cost, billed / 3.6e9, slots > 0 ? busy / slots : 0, served, starts);
    }
}

/// <summary>What became of a tenant's budget.</summary>
/// <param name="Tenant">Index of the tenant.</param>
/// <param name="Limit">The most that is charged within any window.</param>
/// <param name="WindowSeconds">Length of the rolling window.</param>
/// <param name="MostInWindow">The most that was charged within so many seconds running.</param>
/// <param name="Charged">What was charged in all.</param>
/// <param name="Refused">Requests that were turned away for want of money.</param>
/// <param name="Held">Requests that waited for it.</param>
public readonly record struct BudgetResult(int Tenant, Money Limit, long WindowSeconds, Money MostInWindow, Money Charged, long Refused, long Held);
