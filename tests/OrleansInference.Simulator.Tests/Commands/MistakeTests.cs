using OrleansInference.Simulator.Commands;

namespace OrleansInference.Tests.Commands;

/// <summary>Each mistake ends in exit code 2, one clear message, where help is, and no file.</summary>
public sealed class MistakeTests : IDisposable
{
    private readonly SmallGround _ground = new();

    public void Dispose() => _ground.Dispose();

    [Theory]
    [InlineData("compare", "'--scenario' is required")]
    [InlineData("compare --scenario elsewhere.json", "elsewhere.json: there is no such file. Name a scenario file, or one of servegen-week, small-models-budgets, small-models-week.")]
    [InlineData("compare --scenario small --policies always-on,nobody", "There is no policy 'nobody'. There are: always-on, target-tracking.")]
    [InlineData("compare --scenario small --policies ,", "No policy is named. There are: always-on, target-tracking.")]
    [InlineData("compare --scenario small --days 0", "--days 0 is no number above 0")]
    [InlineData("compare --scenario small --days -1", "--days -1 is no number above 0")]
    [InlineData("compare --scenario small --days week", "--days week is no number above 0")]
    [InlineData("compare --scenario small --days NaN", "--days NaN is no number above 0")]
    [InlineData("compare --scenario small --rate-scale 0", "--rate-scale 0 is no number above 0")]
    [InlineData("compare --scenario small --rate-scale ∞", "--rate-scale ∞ is no number above 0")]
    [InlineData("compare --scenario small --seed -1", "--seed -1 is no whole number")]
    [InlineData("compare --scenario small --parallel 3", "--parallel 3 is neither 1 nor 2")]
    [InlineData("compare --scenario small --speed 3", "'--speed'")]
    [InlineData("compare --scenario small --json", "--json")]
    [InlineData("compare --scenario small --report -", "--report needs a file.")]
    [InlineData("compare --scenario small --json FOLDER/a --report FOLDER/a", "name the same file")]
    [InlineData("compare --scenario small --json FOLDER/none/a.json", "cannot be written")]
    [InlineData("compare --scenario small --json FOLDER", "is a folder")]
    [InlineData("replay --scenario small --log FOLDER/log", "'--policy' is required")]
    [InlineData("replay --scenario small --policy nobody --log FOLDER/log", "There is no policy 'nobody'. There are: always-on, target-tracking.")]
    [InlineData("replay --scenario small --policy always-on --log FOLDER/none/log", "cannot be written")]
    [InlineData("explain --log FOLDER/none --request 1", "cannot be read")]
    [InlineData("explain --log FOLDER/trace.jsonl --request 1", "is no decision log: line 1")]
    [InlineData("explain --log FOLDER/none --request first", "--request first is no whole number")]
    [InlineData("contrast", "contrast")]
    [InlineData("", "command")]
    public async Task A_mistake_is_told_and_nothing_is_written(string line, string message)
    {
        var args = line.Replace("FOLDER", Path.GetDirectoryName(_ground.PathOf("x")), StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries);

        var (exitCode, output, error) = await _ground.RunAsync(args);

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Contains("--help' tells how it is used.", error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Fact]
    public async Task Everything_that_is_wrong_with_a_scenario_is_told_at_once()
    {
        var scenario = await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "data", "scenarios", "servegen-week.json"));
        await File.WriteAllTextAsync(_ground.PathOf("trace.jsonl"), scenario
            .Replace("\"slackSeconds\": 300", "\"slackSeconds\": -300", StringComparison.Ordinal)
            .Replace("\"concurrencyPerInstance\": 8,", "\"concurrencyPerInstance\": 0,", StringComparison.Ordinal));

        var (exitCode, output, error) = await _ground.RunAsync(["compare", "--scenario", _ground.PathOf("trace.jsonl"), "--json", _ground.PathOf("out.json")]);

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains("slackSeconds", error, StringComparison.Ordinal);
        Assert.Contains("concurrencyPerInstance", error, StringComparison.Ordinal);
        Assert.Contains("'compare --help'", error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Theory]
    [InlineData("compare --scenario small --json OUT", "there is no static-peak, target-tracking. Give it one, or name policies that do without: ours.")]
    [InlineData("compare --scenario small --policies ours,static-peak --json OUT", "there is no static-peak.")]
    [InlineData("replay --scenario small --policy target-tracking --log OUT", "there is no target-tracking.")]
    [InlineData("advise --scenario small --json OUT", "there is no target-tracking.")]
    public async Task What_needs_instances_is_not_run_on_a_model_without_a_real_time_lane(string line, string message)
    {
        var (read, small) = (_ground.Bench.Read, _ground.Scenario());
        _ground.Bench = _ground.Bench with
        {
            Policies = [.. Benches.Shipped.Policies.Where(static choice => choice.Name is "static-peak" or "target-tracking" or "ours")],
            Read = (name, overrides) => read(name, overrides) with { Models = [.. small.Models.Select(static model => model with { Lanes = [.. model.Lanes.Where(static lane => lane.Lane != Lane.Realtime)] })] },
        };

        var (exitCode, output, error) = await _ground.RunAsync(line.Replace("OUT", _ground.PathOf("out"), StringComparison.Ordinal).Split(' '));

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains($"Model 'chat' has no lane Realtime, without which {message}", error, StringComparison.Ordinal);
        Assert.Contains("--help' tells how it is used.", error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Theory]
    [InlineData("{\"timestamp\": 20000, \"input_length\": 100")]
    [InlineData("{\"timestamp\": 5, \"input_length\": 100, \"output_length\": -1}")]
    public async Task A_trace_that_breaks_off_in_the_middle_of_a_run_is_told_and_nothing_is_written(string line)
    {
        await File.AppendAllTextAsync(_ground.PathOf("trace.jsonl"), line);

        var (exitCode, output, error) = await _ground.RunAsync(["compare", "--scenario", "small", "--json", _ground.PathOf("out.json"), "--parallel", "2", "--days", "1"]);

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains("trace.jsonl", error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Theory]
    [InlineData("--help", "compare")]
    [InlineData("compare --help", "--rate-scale")]
    [InlineData("replay --help", "--log")]
    [InlineData("explain --help", "--request")]
    [InlineData("policies --help", "policies")]
    [InlineData("scenarios --help", "scenarios")]
    public async Task Help_tells_the_options(string line, string option)
    {
        var (exitCode, output, error) = await _ground.RunAsync(line.Split(' '));

        Assert.Equal(0, exitCode);
        Assert.Contains(option, output, StringComparison.Ordinal);
        Assert.Empty(error);
    }

    [Fact]
    public async Task Policies_and_scenarios_are_listed()
    {
        Assert.Equal("always-on        Four instances, always.", (await _ground.RunAsync(["policies"])).Output.Split(Environment.NewLine)[0]);
        Assert.Equal(["servegen-week", "small-models-budgets", "small-models-week"], Benches.Shipped.Shipped().Select(static scenario => scenario.Name));
        Assert.All(Benches.Shipped.Shipped(), static scenario => Assert.NotEmpty(scenario.About));
        Assert.Equal("small  A small one.", (await _ground.RunAsync(["scenarios"])).Output.Trim());
    }
}
