using System.CommandLine;
using System.Diagnostics;
using System.Text;
using OrleansInference.Simulator.Advice;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Reporting;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>advise</c>.</summary>
internal static class AdviseCommand
{
    private const string StandardOutput = "-";
    private const string Usual = "target-tracking";

    /// <summary>The command.</summary>
    public static Command Create(Bench bench)
    {
        var ground = new ScenarioOptions(isRequired: false);
        var policy = new Option<string?>("--policy") { Description = $"What runs today; 'policies' lists them. Default: {Usual}.", HelpName = "name" };
        var trace = new Option<string?>("--trace") { Description = "Trace in place of the scenario's, of the same form.", HelpName = "file" };
        var statistics = new Option<string?>("--statistics")
        {
            Description = "In place of a scenario: a running cluster's views of its endpoints, as GET /v1/endpoints/{name} gives them, in a JSON array.",
            HelpName = "file",
        };
        var json = new Option<string?>("--json") { Description = "File for the advice as JSON; - writes it to standard output, and nothing else there.", HelpName = "file" };
        var command = new Command("advise", "Names what is wasted in dollars a month and what to change; each saving is simulated.") { policy, trace, statistics, json };
        ground.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var (jsonFile, statisticsFile, console) = (parsed.GetValue(json), parsed.GetValue(statistics), parsed.InvocationConfiguration);
            if (statisticsFile is not null && (ground.IsGiven(parsed) || parsed.GetValue(policy) is not null || parsed.GetValue(trace) is not null))
            {
                throw new UserMistakeException("--statistics stands alone: it takes no scenario, trace, policy, days, rate or seed.");
            }

            if (statisticsFile is null && !ground.IsGiven(parsed))
            {
                throw new UserMistakeException("Name what to advise on: --scenario or --statistics.");
            }

            if (jsonFile?.Length == 0)
            {
                throw new UserMistakeException("--json needs a file's name.");
            }

            if (jsonFile is not null and not StandardOutput)
            {
                OutputFile.Check(jsonFile);
            }

            AdviceReport report;
            if (statisticsFile is not null)
            {
                report = ClusterAdvice.Of(statisticsFile, ClusterStatistics.Read(statisticsFile));
            }
            else
            {
                var scenario = Retraced(ground.Read(parsed, bench), parsed.GetValue(trace));
                var today = ScenarioOptions.Find(bench, scenario, [parsed.GetValue(policy) ?? Usual])[0];
                var run = new AdviceRun(scenario, today, bench.Policies.FirstOrDefault(static choice => choice.Name == new RoutedOptions().Name));
                var began = Stopwatch.GetTimestamp();
                report = await new ProgressView(console.Error).ShowAsync(run.Stages, Task.Run(() => run.Run(cancellationToken), cancellationToken));
                await console.Error.WriteLineAsync($"{Numbers.Count(report.Simulations)} fleets simulated in {Numbers.Duration(Stopwatch.GetElapsedTime(began).TotalSeconds)}.");
            }

            Write(report, jsonFile, console);
            return 0;
        });
        return command;
    }

    private static Scenario Retraced(Scenario scenario, string? trace)
    {
        if (trace is null)
        {
            return scenario;
        }

        return File.Exists(trace)
            ? scenario with { Trace = scenario.Trace with { File = Path.GetFullPath(trace) } }
            : throw new UserMistakeException($"There is no trace '{trace}'.");
    }

    private static void Write(AdviceReport report, string? file, InvocationConfiguration console)
    {
        var figures = AdviceJson.Write(report);
        if (file is not null and not StandardOutput)
        {
            OutputFile.WriteAll([(file, figures)]);
        }

        AdviceTable.Write(report, file == StandardOutput ? console.Error : console.Output);
        if (file == StandardOutput)
        {
            console.Output.Write(Encoding.UTF8.GetString(figures));
            console.Output.Flush();
        }
    }
}
