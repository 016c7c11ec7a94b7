using System.Collections.Immutable;

namespace OrleansInference.Simulator.Bounds;

/// <summary>What no policy can cost less than, and how it comes about.</summary>
public sealed record LowerBoundResult
{
    /// <summary>No policy that attains the classes' targets costs less.</summary>
    public Money Bound => Money.Max(Money.Zero, WithoutMisses - Allowance);

    /// <summary>No policy that answers every request in time costs less.</summary>
    public Money WithoutMisses => Sum(static model => model.WithoutMisses);

    /// <summary>What the misses that the targets allow can save at most.</summary>
    public Money Allowance => Sum(static model => model.Allowance);

    /// <summary>By model, by index.</summary>
    public required ImmutableArray<ModelBound> Models { get; init; }

    /// <summary>Requests that some lane can serve.</summary>
    public required long Requests { get; init; }

    /// <summary>Requests that no instance and no execution can answer in time, even if they begin at once; they are counted as missed.</summary>
    public required long Unattainable { get; init; }

    private Money Sum(Func<ModelBound, Money> part) => Models.Aggregate(Money.Zero, (sum, model) => sum + part(model));
}

/// <summary>A model's part of the bound.</summary>
/// <param name="Model">The model.</param>
/// <param name="Forced">What is billed whatever is done.</param>
/// <param name="Work">What the requests cost where each is served most cheaply.</param>
/// <param name="Absorbed">How much of that the capacity that is billed anyway can do at most.</param>
/// <param name="Allowance">What the misses that the targets allow can save at most.</param>
public sealed record ModelBound(string Model, Money Forced, Money Work, Money Absorbed, Money Allowance)
{
    /// <summary>What remains to be paid beside what is forced.</summary>
    public Money Rest => Work - Absorbed;

    /// <summary>No policy that answers every request in time spends less on the model.</summary>
    public Money WithoutMisses => Forced + Rest;
}
