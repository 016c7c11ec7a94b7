using System.Collections.Immutable;
using System.Globalization;
using OrleansInference.Simulator.Measures;

namespace OrleansInference.Tests;

/// <summary>What a run of a scenario came to, simulated or in a cluster.</summary>
internal sealed record RunFigures
{
    /// <summary>What AWS bills, by model and lane.</summary>
    public required ImmutableSortedDictionary<string, Money> Bill { get; init; }

    /// <summary>Requests served, by lane.</summary>
    public required ImmutableArray<long> Served { get; init; }

    /// <summary>Share of the requests, 0..1, that were answered in time.</summary>
    public required double Attainment { get; init; }

    /// <summary>What AWS bills.</summary>
    public Money Cost => Bill.Values.Aggregate(Money.Zero, static (sum, each) => sum + each);

    /// <summary>Share of the served requests, 0..1, that a lane served.</summary>
    public double ShareOf(Lane lane) => (double)Served[(int)lane] / Served.Sum();

    /// <summary>The figures of a simulation.</summary>
    public static RunFigures Of(PolicyResult result, ImmutableArray<string> models) => new()
    {
        Bill = result.Pools.ToImmutableSortedDictionary(pool => NameOf(models[pool.Model], pool.Lane), static pool => pool.Cost),
        Served = [.. Enum.GetValues<Lane>().Select(lane => result.Lanes.First(each => each.Lane == lane).Served)],
        Attainment = (double)result.Classes.Sum(static tally => tally.Attained) / result.Requests,
    };

    /// <summary>The mean of several runs.</summary>
    public static RunFigures MeanOf(IReadOnlyCollection<RunFigures> runs) => new()
    {
        Bill = runs.SelectMany(static run => run.Bill).GroupBy(static line => line.Key).ToImmutableSortedDictionary(
            static lines => lines.Key,
            lines => Money.FromNanos(lines.Sum(static line => line.Value.Nanos) / runs.Count)),
        Served = [.. Enumerable.Range(0, runs.First().Served.Length).Select(lane => (long)Math.Round(runs.Average(run => run.Served[lane])))],
        Attainment = runs.Average(static run => run.Attainment),
    };

    /// <summary>The name of a bill's line.</summary>
    public static string NameOf(string model, Lane lane) => $"{model}/{lane}";

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"cost {Cost} $ ({string.Join(", ", Bill.Select(static line => $"{line.Key} {line.Value}"))}), attainment {Attainment:P2}, served {Served.Sum()}: {string.Join(", ", Enum.GetValues<Lane>().Where(lane => Served[(int)lane] > 0).Select(lane => $"{lane} {ShareOf(lane).ToString("P2", CultureInfo.InvariantCulture)}"))}");
}
