using System.CommandLine;
using System.Globalization;
using OrleansInference.Simulator.Decisions;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>replay</c>.</summary>
internal static class ReplayCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bench bench)
    {
        var ground = new ScenarioOptions();
        var policy = new Option<string>("--policy") { Description = "The policy; 'policies' lists them.", Required = true, HelpName = "name" };
        var log = new Option<string>("--log") { Description = "File for the decision log: JSON lines, one a request.", Required = true, HelpName = "file" };
        var command = new Command("replay", "Runs one policy on a scenario and writes what became of each request, and why.");
        ground.AddTo(command);
        command.Options.Add(policy);
        command.Options.Add(log);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var scenario = ground.Read(parsed, bench);
            var choice = ScenarioOptions.Find(bench, scenario, [parsed.GetRequiredValue(policy)])[0];
            var path = parsed.GetRequiredValue(log);
            OutputFile.Check(path);
            var stage = new Stage(choice.Name);
            var console = parsed.InvocationConfiguration;
            var result = await new ProgressView(console.Error).ShowAsync([stage], Task.Run(() => Run(bench, scenario, choice, stage, path, cancellationToken), cancellationToken));
            CompareCommand.Show(new() { Scenario = scenario, Policies = [result] }, console.Output);
            await console.Output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{result.Requests + result.Infeasible} requests are in {path}; 'explain --log {path} --request N' tells of one."));
            return 0;
        });
        return command;
    }

    private static PolicyResult Run(Bench bench, Scenario scenario, Fleet.PolicyChoice choice, Stage stage, string path, CancellationToken cancellationToken)
    {
        OutputFile? file = null;
        try
        {
            var result = ComparisonRun.Run(bench, scenario, choice, stage, () => new DecisionLogFile(scenario, (file = new OutputFile(path)).Stream), cancellationToken);
            file!.Commit();
            return result;
        }
        finally
        {
            file?.Dispose();
        }
    }
}
