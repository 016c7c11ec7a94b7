using System.Collections.Immutable;

namespace OrleansInference.Simulator.Decisions;

/// <summary>How a request ended.</summary>
public enum RequestOutcome
{
    /// <summary>Answered by its deadline, with the quality asked for.</summary>
    InTime,

    /// <summary>Answered after its deadline.</summary>
    Late,

    /// <summary>Answered by its deadline by a variant below the quality that its tenant asks for.</summary>
    BelowQuality,

    /// <summary>Not answered: its service took longer than the lane allows.</summary>
    CutOff,

    /// <summary>Not answered: the policy gave it up.</summary>
    Missed,

    /// <summary>Not answered: no lane allows a service as long as its.</summary>
    Infeasible,
}

/// <summary>A request in a decision log: one JSON object a line, in the order in which they ended. Seconds count from the scenario's beginning, exact to the microsecond.</summary>
public sealed record LoggedRequest
{
    /// <summary>Counts arrivals up from 0.</summary>
    public required long Number { get; init; }

    /// <summary>Who asked.</summary>
    public required string Tenant { get; init; }

    /// <summary>The model asked.</summary>
    public required string Model { get; init; }

    /// <summary>The class.</summary>
    public required TrafficClass Class { get; init; }

    /// <summary>Seconds at which it came.</summary>
    public required decimal ArrivedSeconds { get; init; }

    /// <summary>Seconds until which its answer is worth something.</summary>
    public required decimal DeadlineSeconds { get; init; }

    /// <summary>Input tokens.</summary>
    public required int InputTokens { get; init; }

    /// <summary>Output tokens.</summary>
    public required int OutputTokens { get; init; }

    /// <summary>How it ended.</summary>
    public required RequestOutcome Outcome { get; init; }

    /// <summary>Whether it counts as attained.</summary>
    public bool InTime => Outcome == RequestOutcome.InTime;

    /// <summary>The lane that served it; null if none did.</summary>
    public Lane? Lane { get; init; }

    /// <summary>The variant that served it; null if none did.</summary>
    public string? Variant { get; init; }

    /// <summary>Seconds at which its service began; null if it did not.</summary>
    public decimal? StartedSeconds { get; init; }

    /// <summary>Seconds at which it ended or was given up; null if no lane can serve it.</summary>
    public decimal? EndedSeconds { get; init; }

    /// <summary>What the policy decided, in order; empty if it told nothing.</summary>
    public ImmutableArray<LoggedDecision> Decisions { get; init; } = [];
}

/// <summary>A decision: what, and what there was to choose from.</summary>
public sealed record LoggedDecision
{
    /// <summary>Seconds at which it was made, from the scenario's beginning.</summary>
    public required decimal AtSeconds { get; init; }

    /// <summary>What was decided and why, for people.</summary>
    public required string Text { get; init; }

    /// <summary>What there was to choose from; empty if there was no choice.</summary>
    public ImmutableArray<LoggedCandidate> Candidates { get; init; } = [];

    /// <summary>A decision of the router, as it explains it itself.</summary>
    /// <param name="atUs">Microseconds at which it was made.</param>
    /// <param name="explanation">The explanation.</param>
    public static LoggedDecision Of(long atUs, Explanation explanation)
    {
        ArgumentNullException.ThrowIfNull(explanation);
        var chosen = explanation.Candidates.FirstOrDefault(static candidate => candidate.Chosen);
        return new()
        {
            AtSeconds = atUs / 1_000_000m,
            Text = chosen is not null ? $"{chosen.Lane}, {chosen.Variant}: {chosen.Reason}" : explanation.Held ?? explanation.Problem?.Message ?? "nothing was chosen",
            Candidates = [.. explanation.Candidates.Select(LoggedCandidate.Of)],
        };
    }
}

/// <summary>Something that a request could have been sent to.</summary>
public sealed record LoggedCandidate
{
    /// <summary>Its name: an endpoint or a pool.</summary>
    public required string Name { get; init; }

    /// <summary>Its lane.</summary>
    public required Lane Lane { get; init; }

    /// <summary>Its variant.</summary>
    public required string Variant { get; init; }

    /// <summary>Whether it was chosen.</summary>
    public bool Chosen { get; init; }

    /// <summary>Why it was dropped, for people; null of the chosen one.</summary>
    public string? Dropped { get; init; }

    /// <summary>What was expected of it, in order: names that end in their unit, such as <c>waitSeconds</c> or <c>costUsd</c>.</summary>
    public IReadOnlyDictionary<string, double> Quote { get; init; } = ImmutableDictionary<string, double>.Empty;

    internal static LoggedCandidate Of(CandidateView view) => new()
    {
        Name = view.Endpoint.Value,
        Lane = view.Lane,
        Variant = view.Variant.Value,
        Chosen = view.Chosen,
        Dropped = view.Chosen ? null : view.Reason,
        Quote = view.P99Seconds == 0
            ? ImmutableDictionary<string, double>.Empty
            : new Dictionary<string, double>
            {
                ["probabilityInTime"] = view.ProbabilityInTime,
                ["waitSeconds"] = view.WaitSeconds,
                ["coldStartSeconds"] = view.ColdStartSeconds,
                ["serviceSeconds"] = view.ServiceSeconds,
                ["p50Seconds"] = view.P50Seconds,
                ["p99Seconds"] = view.P99Seconds,
                ["marginalCostUsd"] = (double)view.MarginalCost.ToDollars(),
                ["scoreNanoUsd"] = view.Score,
            },
    };
}
