using System.Collections.Immutable;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Bounds;

/// <summary>What no policy can cost less than, and how it comes about.</summary>
public sealed record LowerBoundResult
{
    /// <summary>No policy that answers every request in time costs less.</summary>
    public Money Everything => Models.Aggregate(Money.Zero, static (sum, model) => sum + model.Least);

    /// <summary>By model, by index.</summary>
    public required ImmutableArray<ModelBound> Models { get; init; }

    /// <summary>Requests that some lane can serve.</summary>
    public long Requests => Models.Sum(static model => model.Requests);

    /// <summary>Requests that no instance and no execution can answer in time, even if they begin at once; they are missed by everybody.</summary>
    public long Unattainable => Models.Sum(static model => model.Classes.Sum(static @class => @class.Unattainable));

    /// <summary>No policy that answers as many requests of each model and class in time as one did costs less, whichever it misses.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="result">What the policy came to on it.</param>
    public Money For(Scenario scenario, PolicyResult result)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        ArgumentNullException.ThrowIfNull(result);
        return For((model, trafficClass) => scenario.Tenants
            .Select((tenant, index) => tenant.Model == Models[model].Model && tenant.Class == trafficClass ? result.Tenants[index].Requests - result.Tenants[index].Attained : 0)
            .Sum());
    }

    /// <summary>No policy that misses at most so many requests of each model and class costs less.</summary>
    /// <param name="missed">By index of the model and class.</param>
    internal Money For(Func<int, TrafficClass, long> missed)
    {
        var sum = Money.Zero;
        for (var model = 0; model < Models.Length; model++)
        {
            var saved = 0.0;
            foreach (var trafficClass in Enum.GetValues<TrafficClass>())
            {
                var @class = Models[model].Classes[(int)trafficClass];
                saved += @class.Dearest.Take(missed(model, trafficClass) - @class.Unattainable);
            }

            // What is billed whatever is done is billed to those who answer nothing, too.
            sum += Money.Max(Models[model].Forced, Models[model].Least - LowerBound.AtLeast(saved));
        }

        return sum;
    }
}

/// <summary>A model's part of the bound.</summary>
/// <param name="Model">The model.</param>
/// <param name="Forced">What is billed whatever is done.</param>
/// <param name="Work">What the requests cost where each is served most cheaply.</param>
/// <param name="Absorbed">How much of that the capacity that is billed anyway can do at most.</param>
public sealed record ModelBound(string Model, Money Forced, Money Work, Money Absorbed)
{
    /// <summary>No policy that answers every request in time spends less on the model.</summary>
    public Money Least => Money.Max(Forced, Forced + Work - Absorbed);

    /// <summary>Requests that some lane can serve.</summary>
    public long Requests => Classes.Sum(static @class => @class.Requests);

    /// <summary>By class.</summary>
    internal ImmutableArray<ClassWork> Classes { get; init; } = [];
}
