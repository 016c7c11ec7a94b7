using System.Collections.Immutable;
using OrleansInference.Simulator.Commands;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>
/// Finds what a scenario's fleet wastes: simulates each model as it runs today, lets each adviser say what might be changed, and simulates every change. A change
/// touches one model or two, so only those are simulated.
/// </summary>
internal sealed class AdviceRun
{
    // Below this a difference may be no more than another outcome of tuning.
    private const double LeastShare = 0.02;
    private const double LeastUsd = 0.5;
    private const double SameAttainment = 0.0001;
    private const int MostAtATime = 2;

    private static readonly ImmutableArray<IAdviser> Advisers =
        [new IdleEndpoints(), new SmallerInstances(), new UrgentTraffic(), new Consolidation(), new ColdStarts(), new BatchWindows(), new RouterInstead()];

    private readonly Scenario _scenario;
    private readonly PolicyChoice _policy;
    private readonly PolicyChoice? _router;
    private readonly Stage _traffic = new("traffic");
    private readonly Stage _today;
    private readonly Stage _changes = new("changes");

    /// <summary>A run.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="policy">What runs today.</param>
    /// <param name="router">The router; null if there is none to choose.</param>
    public AdviceRun(Scenario scenario, PolicyChoice policy, PolicyChoice? router)
    {
        (_scenario, _policy, _router) = (scenario, policy, router);
        _today = new($"today ({policy.Name})");
    }

    /// <summary>Its parts, for showing.</summary>
    public IReadOnlyList<Stage> Stages => [_traffic, _today, _changes];

    /// <summary>Runs everything.</summary>
    /// <param name="cancellationToken">Ends the run.</param>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public AdviceReport Run(CancellationToken cancellationToken)
    {
        _traffic.Begin();
        var (traffic, days) = TenantTraffic.Measure(_scenario, _traffic.Reach, cancellationToken);
        _traffic.Reach(1);
        var scenario = _scenario with { Days = days };
        var ground = new AdviceGround { Scenario = scenario, Policy = _policy, Router = _router, Traffic = traffic, Today = Today(scenario, cancellationToken) };
        var trials = Advisers.SelectMany(adviser => adviser.Look(ground)).ToImmutableArray();
        var parts = trials.SelectMany(static trial => trial.Against.Concat(trial.Parts)).DistinctBy(KeyOf).ToImmutableArray();
        var simulated = Simulate(parts, _changes, cancellationToken);
        var results = parts.Zip(simulated).ToDictionary(static each => KeyOf(each.First), static each => each.Second);
        var advices = Assess(ground, trials, results);
        return new()
        {
            Source = scenario.Name,
            Policy = _policy.Name,
            Days = scenario.Days,
            RateScale = scenario.RateScale,
            Seed = scenario.Seed,
            Today = Figures(ground, [.. ground.Today.Select(static today => today.Result)]),
            Advices = [.. advices.Where(static advice => advice.Missed.IsEmpty)],
            HeldBack = [.. advices.Where(static advice => !advice.Missed.IsEmpty)],
            Simulations = ground.Today.Length + parts.Length,
        };
    }

    /// <summary>The same fleet may be part of several changes; it is simulated once.</summary>
    private static (object Scenario, object Make) KeyOf(TrialPart part) => (new Same(part.Scenario), part.Make);

    private ImmutableArray<ModelToday> Today(Scenario scenario, CancellationToken cancellationToken)
    {
        var models = scenario.Models.Select((_, index) => new TrialPart(AdviceGround.Only(scenario, index), _policy.Make)).ToImmutableArray();
        return [.. Simulate(models, _today, cancellationToken).Select((result, index) => new ModelToday(index, models[index].Scenario, result))];
    }

    /// <summary>Simulates fleets, two at a time where there are processors; the result does not depend on that.</summary>
    private static PolicyResult[] Simulate(ImmutableArray<TrialPart> parts, Stage stage, CancellationToken cancellationToken)
    {
        var results = new PolicyResult[parts.Length];
        var done = 0;
        stage.Begin();
        Parallel.For(0, parts.Length, new ParallelOptions { MaxDegreeOfParallelism = Math.Min(MostAtATime, Environment.ProcessorCount), CancellationToken = cancellationToken }, index =>
        {
            var policy = parts[index].Make(parts[index].Scenario, cancellationToken);
            cancellationToken.ThrowIfCancellationRequested();
            results[index] = World.Measure(parts[index].Scenario, policy, cancellationToken: cancellationToken);
            stage.Reach((double)Interlocked.Increment(ref done) / parts.Length);
        });
        cancellationToken.ThrowIfCancellationRequested();
        stage.Reach(1);
        return results;
    }

    /// <summary>Of each group of choices the best, the largest saving first.</summary>
    private static List<Advice> Assess(AdviceGround ground, ImmutableArray<Trial> trials, Dictionary<(object, object), PolicyResult> results)
    {
        var assessed = new List<(Trial Trial, FleetFigures Before, SimulatedChange Change)>();
        foreach (var trial in trials)
        {
            var before = Figures(ground, [.. trial.Against.IsEmpty ? trial.Models.Select(model => ground.Today[model].Result) : trial.Against.Select(part => results[KeyOf(part)])]);
            var after = Figures(ground, [.. trial.Parts.Select(part => results[KeyOf(part)])]);
            var missed = Enum.GetValues<TrafficClass>().Where(each => IsMissed(ground, before.Attainment[(int)each], after.Attainment[(int)each], each));
            assessed.Add((trial, before, new(trial.Change, after, before.UsdPerMonth - after.UsdPerMonth, [.. missed])));
        }

        return
        [
            .. assessed
                .GroupBy(static each => (each.Trial.Kind, each.Trial.Subject))
                .Select(static group => (Best: Best([.. group]), All: group.Select(static each => each.Change).ToImmutableArray()))
                .Where(static group => group.Best.Change.SavesUsdPerMonth >= Math.Max(LeastUsd, LeastShare * group.Best.Before.UsdPerMonth))
                .Select(static group => AdviceOf(group.Best.Trial, group.Best.Before, group.Best.Change, group.All))
                .OrderByDescending(static advice => advice.SavesUsdPerMonth),
        ];
    }

    private static (Trial Trial, FleetFigures Before, SimulatedChange Change) Best(IReadOnlyList<(Trial Trial, FleetFigures Before, SimulatedChange Change)> choices) =>
        choices
            .OrderByDescending(static each => each.Change.Missed.IsEmpty && each.Change.SavesUsdPerMonth >= Math.Max(LeastUsd, LeastShare * each.Before.UsdPerMonth))
            .ThenByDescending(static each => each.Change.SavesUsdPerMonth)
            .First();

    private static Advice AdviceOf(Trial trial, FleetFigures before, SimulatedChange change, ImmutableArray<SimulatedChange> all) => new()
    {
        Kind = trial.Kind,
        Subject = trial.Subject,
        SavesUsdPerMonth = change.SavesUsdPerMonth,
        What = trial.What,
        Why = trial.Why,
        Do = trial.Do,
        Before = before,
        After = change.After,
        Missed = change.Missed,
        Simulated = all,
    };

    /// <summary>Below the target, and worse than today.</summary>
    private static bool IsMissed(AdviceGround ground, double? before, double? after, TrafficClass trafficClass) =>
        after is { } share && share < ground.Scenario.Classes[(int)trafficClass].TargetAttainment && !(share >= before - SameAttainment);

    private static FleetFigures Figures(AdviceGround ground, IReadOnlyList<PolicyResult> results)
    {
        var attainment = Enum.GetValues<TrafficClass>().Select(each =>
        {
            var (requests, attained) = (results.Sum(result => result.Classes[(int)each].Requests), results.Sum(result => result.Classes[(int)each].Attained));
            return requests == 0 ? (double?)null : (double)attained / requests;
        });
        return new(results.Sum(result => ground.Monthly(result.Cost)), [.. attainment]);
    }

    /// <summary>A scenario that equals itself only.</summary>
    private sealed class Same(Scenario scenario)
    {
        private readonly Scenario _scenario = scenario;

        public override bool Equals(object? other) => other is Same same && ReferenceEquals(same._scenario, _scenario);

        public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(_scenario);
    }
}
