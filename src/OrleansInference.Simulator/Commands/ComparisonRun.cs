using System.Collections.Immutable;
using OrleansInference.Simulator.Bounds;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Reporting;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>Runs policies on a scenario, and finds the lower bound.</summary>
internal sealed class ComparisonRun
{
    private readonly Bench _bench;
    private readonly Scenario _scenario;
    private readonly IReadOnlyList<PolicyChoice> _choices;
    private readonly Stage? _bound;
    private readonly Stage[] _stages;
    private LowerBoundResult? _lowerBound;

    public ComparisonRun(Bench bench, Scenario scenario, IReadOnlyList<PolicyChoice> choices)
    {
        (_bench, _scenario, _choices) = (bench, scenario, choices);
        _bound = bench.LowerBound is null ? null : new Stage("lower bound");
        _stages = [.. choices.Select(static choice => new Stage(choice.Name))];
    }

    /// <summary>Its parts, for showing.</summary>
    public IReadOnlyList<Stage> Stages => _bound is null ? _stages : [_bound, .. _stages];

    /// <summary>Runs everything; the result does not depend on how many run at a time.</summary>
    /// <param name="parallel">How many policies run at a time.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    public async Task<Comparison> RunAsync(int parallel, CancellationToken cancellationToken)
    {
        var results = new PolicyResult[_choices.Count];
        await Parallel.ForAsync(
            _bound is null ? 0 : -1,
            results.Length,
            new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellationToken },
            (index, cancel) =>
            {
                if (index < 0)
                {
                    Bound(cancel);
                }
                else
                {
                    results[index] = Run(_bench, _scenario, _choices[index], _stages[index], null, cancel);
                }

                return ValueTask.CompletedTask;
            });
        cancellationToken.ThrowIfCancellationRequested();
        return new()
        {
            Scenario = _scenario,
            LowerBound = _lowerBound?.Everything,
            Policies = [.. results.Select(result => result with { LowerBound = _lowerBound?.For(_scenario, result) })],
            About = _choices.ToImmutableDictionary(static choice => choice.Name, static choice => choice.About),
        };
    }

    /// <summary>Tunes a policy and runs it.</summary>
    /// <param name="bench">What there is to work with.</param>
    /// <param name="scenario">The scenario.</param>
    /// <param name="choice">The policy.</param>
    /// <param name="stage">Told how far it is.</param>
    /// <param name="log">Begins a log of its decisions, once it is tuned; null for none.</param>
    /// <param name="cancellationToken">Ends the run.</param>
    public static PolicyResult Run(Bench bench, Scenario scenario, PolicyChoice choice, Stage stage, Func<Decisions.IDecisionLog>? log, CancellationToken cancellationToken)
    {
        stage.Prepare("being tuned");
        var policy = choice.Make(scenario, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        stage.Begin();
        var result = World.Measure(scenario, policy, policy.How, stage.Reach, log?.Invoke(), cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        return result with { Name = choice.Name };
    }

    private void Bound(CancellationToken cancellationToken)
    {
        _bound!.Begin();
        _lowerBound = _bench.LowerBound!(_scenario, _bound.Reach, cancellationToken);
        _bound.Reach(1);
    }
}
