using System.Collections.Immutable;
using OrleansInference.Simulator.Reporting;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>
/// Models whose joint peak fits on fewer instances than their peaks apart: one multi-model endpoint on the dearer of the two instance types. Both models are held
/// in memory there; each request takes as long as on the slower of the two, and an instance serves as few at a time as the lesser of the two does.
/// </summary>
internal sealed class Consolidation : IAdviser
{
    private const int MostPairs = 3;

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        var pairs = new List<(double Estimate, Trial Trial)>();
        for (var i = 0; i < ground.Today.Length; i++)
        {
            for (var j = i + 1; j < ground.Today.Length; j++)
            {
                if (Pair(ground, ground.Today[i], ground.Today[j]) is { } pair)
                {
                    pairs.Add(pair);
                }
            }
        }

        return pairs.OrderByDescending(static pair => pair.Estimate).Take(MostPairs).Select(static pair => pair.Trial);
    }

    private static (double Estimate, Trial Trial)? Pair(AdviceGround ground, ModelToday one, ModelToday other)
    {
        if (one.Model.LaneOf(Lane.Realtime) is null || other.Model.LaneOf(Lane.Realtime) is null || !one.PoolsOf(Lane.Realtime).Any() || !other.PoolsOf(Lane.Realtime).Any())
        {
            return null;
        }

        var (first, second) = (FullOf(one.Model), FullOf(other.Model));
        var merged = Merge(one.Model, other.Model);
        var build = merged.Variants[0];
        var (peakOne, peakOther) = (Peak(one), Peak(other));
        var joint = one.Result.Timeline[0].Zip(other.Result.Timeline[0], static (a, b) => a.InUse + b.InUse).DefaultIfEmpty(0).Max();
        var (oneNeeds, otherNeeds, jointNeeds) = (Instances(peakOne, first), Instances(peakOther, second), Instances(joint, build));
        double Price(int instances, ScenarioVariant variant) => instances * (double)variant.PricePerHour.ToDollars();
        var estimate = Price(oneNeeds, first) + Price(otherNeeds, second) - Price(jointNeeds, build);
        if (jointNeeds >= oneNeeds + otherNeeds || estimate <= 0)
        {
            return null;
        }

        var together = AdviceGround.Only(ground.Scenario, one.Index, other.Index);
        var names = $"{one.Model.Model} and {other.Model.Model}";
        return (estimate, new()
        {
            Kind = AdviceKind.Consolidation,
            Subject = $"{one.Model.Model} + {other.Model.Model}",
            Change = build.InstanceType.Length == 0 ? "one endpoint" : $"one endpoint on {build.InstanceType}",
            What = $"{names} would fit on fewer instances together than apart.",
            Why = Words.Of($"At their peaks they use {peakOne} and {peakOther} slots, which is {oneNeeds} and {otherNeeds} instances; together they never use more than {joint}, which is {jointNeeds}."),
            Do = $"Put {names} on one multi-model endpoint at {Numbers.Dollars(build.PricePerHour)} an hour. It is assumed that both fit into its memory, and that requests of either take as long as the slower model's.",
            Models = [one.Index, other.Index],
            Parts =
            [
                ground.Unchanged(together with
                {
                    Models = [merged],
                    Tenants =
                    [
                        .. together.Tenants.Select(tenant => tenant with
                        {
                            Model = merged.Model,
                            TraceModel = tenant.TraceModel ?? tenant.Model,
                            DeadlineVariant = tenant.Model == one.Model.Model ? first : second,
                        }),
                    ],
                }),
            ],
        });
    }

    private static ScenarioVariant FullOf(ScenarioModel model) => model.FullVariant;

    private static int Peak(ModelToday today) => today.Result.Timeline[0].Select(static point => point.InUse).DefaultIfEmpty(0).Max();

    private static int Instances(int slots, ScenarioVariant variant) => Math.Max(1, (slots + variant.Concurrency - 1) / variant.Concurrency);

    private static ScenarioModel Merge(ScenarioModel one, ScenarioModel other)
    {
        var (first, second) = (FullOf(one), FullOf(other));
        var dearer = first.PricePerHour < second.PricePerHour ? second : first;
        return new()
        {
            Model = $"{one.Model}+{other.Model}",
            Variants =
            [
                dearer with
                {
                    Name = "full",
                    Quality = Math.Max(first.Quality, second.Quality),
                    Concurrency = Math.Min(first.Concurrency, second.Concurrency),
                    BaseSeconds = Math.Max(first.BaseSeconds, second.BaseSeconds),
                    PrefillTokensPerSecond = Math.Min(first.PrefillTokensPerSecond, second.PrefillTokensPerSecond),
                    DecodeTokensPerSecond = first.DecodeTokensPerSecond is { } a && second.DecodeTokensPerSecond is { } b ? Math.Min(a, b) : first.DecodeTokensPerSecond ?? second.DecodeTokensPerSecond,
                },
            ],
            Lanes = Lanes(one, other),
        };
    }

    /// <summary>The lanes that both have, each as the lesser of the two has it.</summary>
    private static ImmutableArray<ScenarioLane> Lanes(ScenarioModel one, ScenarioModel other) =>
    [
        .. from a in one.Lanes
           let b = other.LaneOf(a.Lane)
           where b is not null
           select a with
           {
               MinInstances = Math.Max(a.MinInstances, b.MinInstances),
               MaxInstances = Math.Max(a.MaxInstances, b.MaxInstances),
               ProvisionSeconds = Math.Max(a.ProvisionSeconds, b.ProvisionSeconds),
               MaxPayloadBytes = Math.Min(a.MaxPayloadBytes, b.MaxPayloadBytes),
               MaxServiceSeconds = Math.Min(a.MaxServiceSeconds, b.MaxServiceSeconds),
               MemoryMb = Math.Max(a.MemoryMb, b.MemoryMb),
               PricePerGbSecond = a.PricePerGbSecond < b.PricePerGbSecond ? b.PricePerGbSecond : a.PricePerGbSecond,
               MaxConcurrency = Math.Min(a.MaxConcurrency, b.MaxConcurrency),
               ColdStartSeconds = Math.Max(a.ColdStartSeconds, b.ColdStartSeconds),
               KeepWarmSeconds = Math.Min(a.KeepWarmSeconds, b.KeepWarmSeconds),
               SpeedFactor = Math.Min(a.SpeedFactor, b.SpeedFactor),
               MaxJobs = Math.Min(a.MaxJobs, b.MaxJobs),
               MaxInstancesPerJob = Math.Max(a.MaxInstancesPerJob, b.MaxInstancesPerJob),
               StartSeconds = Math.Max(a.StartSeconds, b.StartSeconds),
           },
    ];
}
