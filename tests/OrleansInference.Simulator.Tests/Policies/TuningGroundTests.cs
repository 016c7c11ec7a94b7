using OrleansInference.Simulator.Policies.Baselines;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Policies;

/// <summary>A request of High each second, which takes a second: an instance is busy all the time and serves each in time, but for bursts.</summary>
public sealed class TuningGroundTests : IDisposable
{
    private const int Requests = 6_000;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("oi-tuning-");

    public void Dispose() => _folder.Delete(true);

    [Fact]
    public void A_fleet_that_misses_no_more_than_the_most_generous_one_meets_the_target_whatever_that_misses()
    {
        // Of a hundred at once twenty instances serve those that can be served in the three and a half seconds that each has, and one only the first few.
        var ground = Ground(burst: 100);
        var cost = ground.Learn(new StaticFleet(0, 20));
        Assert.True(cost > 0);
        Assert.Equal(TrialOutcome.Met, ground.Try(new StaticFleet(0, 20), long.MaxValue, out var same));
        Assert.Equal(cost, same);
        Assert.Equal(TrialOutcome.Missed, ground.Try(new StaticFleet(0, 1), long.MaxValue, out _));
    }

    [Fact]
    public void A_fleet_that_costs_too_much_is_given_up()
    {
        var ground = Ground(burst: 0);
        var cost = ground.Learn(new StaticFleet(0, 2));
        Assert.Equal(TrialOutcome.TooDear, ground.Try(new StaticFleet(0, 20), cost, out var spent));
        Assert.InRange(spent, cost, (20 * cost) - 1);
    }

    [Fact]
    public void What_is_done_on_it_can_be_ended()
    {
        using var cancel = new CancellationTokenSource();
        var ground = Ground(burst: 0, cancel.Token);
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => ground.Learn(new StaticFleet(0, 2)));
        Assert.Throws<OperationCanceledException>(() => ground.Try(new StaticFleet(0, 2), long.MaxValue, out _));
        foreach (var choice in BaselineChoices.All)
        {
            Assert.ThrowsAny<OperationCanceledException>(() => choice.Make(ground.Scenario, cancel.Token));
        }
    }

    private TuningGround Ground(int burst, CancellationToken cancellationToken = default)
    {
        var file = Path.Combine(_folder.FullName, $"{burst}.jsonl");
        File.WriteAllLines(file, Enumerable.Range(0, Requests).Concat(Enumerable.Repeat(Requests, burst)).Select(static second => $$"""{"timestamp": {{second * 1000L}}, "input_length": 1, "output_length": 1}"""));
        var scenario = SmallWorld.Scenario(days: (Requests + 60) / 86_400.0);
        scenario = scenario with
        {
            Trace = new() { Format = TraceFormat.Requests, File = file },
            Tenants = [scenario.Tenants[0] with { Share = 1 }],
        };
        return new(scenario, 0, TuningGround.Count(scenario, cancellationToken), 60, cancellationToken: cancellationToken);
    }
}
