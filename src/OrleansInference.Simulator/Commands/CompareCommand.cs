using System.CommandLine;
using System.Globalization;
using OrleansInference.Simulator.Reporting;
using Spectre.Console;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>compare</c>.</summary>
internal static class CompareCommand
{
    private const string StandardOutput = "-";
    private const int MostAtATime = 2;
    private const long BytesAtATime = 1L << 30;

    // Nothing is known of the width of what is no terminal; cut lines would be worse than long ones.
    private const int WideEnough = 250;

    /// <summary>The command.</summary>
    public static Command Create(Bench bench)
    {
        var ground = new ScenarioOptions();
        var policies = new Option<string?>("--policies") { Description = "Policies, separated by commas; default: all. 'policies' lists them.", HelpName = "a,b" };
        var json = new Option<string?>("--json") { Description = "File for the figures as JSON; - writes them to standard output, and nothing else there.", HelpName = "file" };
        var report = new Option<string?>("--report") { Description = "File for the report: one HTML page with plots that needs nothing else.", HelpName = "file" };
        var parallel = new Option<int>("--parallel")
        {
            Description = "Policies that run at a time, 1 or 2, as far as processors and memory allow.",
            HelpName = "1|2",
            DefaultValueFactory = static _ => 1,
            CustomParser = static result =>
            {
                if (int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= MostAtATime)
                {
                    return count;
                }

                result.AddError($"--parallel {result.Tokens[0].Value} is neither 1 nor {MostAtATime}.");
                return 1;
            },
        };
        var command = new Command("compare", "Runs policies on a scenario and holds their costs and what they attained against one another.");
        ground.AddTo(command);
        command.Options.Add(policies);
        command.Options.Add(json);
        command.Options.Add(report);
        command.Options.Add(parallel);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var scenario = ground.Read(parsed, bench);
            var names = parsed.GetValue(policies);
            var choices = ScenarioOptions.Find(bench, scenario, names?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
            var (jsonFile, reportFile) = (parsed.GetValue(json), parsed.GetValue(report));
            Check(jsonFile, reportFile);
            var run = new ComparisonRun(bench, scenario, choices);
            var console = parsed.InvocationConfiguration;
            var comparison = await new ProgressView(console.Error).ShowAsync(run.Stages, Task.Run(() => run.RunAsync(AtATime(parsed.GetValue(parallel)), cancellationToken), cancellationToken));
            Write(
                comparison with { Command = $"compare {ground.Again(parsed, scenario)} --policies {string.Join(',', choices.Select(static choice => choice.Name))}" },
                jsonFile,
                reportFile,
                console);
            return 0;
        });
        return command;
    }

    /// <summary>Shows a comparison's table.</summary>
    public static void Show(Comparison comparison, TextWriter writer)
    {
        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(writer) });
        if (!console.Profile.Out.IsTerminal)
        {
            console.Profile.Width = WideEnough;
        }

        console.Write(ComparisonTable.Create(comparison));
        console.WriteLine();
    }

    private static void Check(string? json, string? report)
    {
        if (report == StandardOutput)
        {
            throw new UserMistakeException("--report needs a file.");
        }

        if (json is not null && report is not null && json != StandardOutput && Path.GetFullPath(json) == Path.GetFullPath(report))
        {
            throw new UserMistakeException($"--json and --report name the same file, '{json}'.");
        }

        foreach (var path in new[] { json, report })
        {
            if (path?.Length == 0)
            {
                throw new UserMistakeException("--json and --report need a file's name.");
            }

            if (path is not null and not StandardOutput)
            {
                OutputFile.Check(path);
            }
        }
    }

    private static void Write(Comparison comparison, string? json, string? report, InvocationConfiguration console)
    {
        var files = new List<(string, byte[])>();
        var figures = ComparisonJson.Write(comparison);
        if (json is not null and not StandardOutput)
        {
            files.Add((json, figures));
        }

        if (report is not null)
        {
            files.Add((report, HtmlReport.Write(comparison)));
        }

        OutputFile.WriteAll(files);
        Show(comparison, json == StandardOutput ? console.Error : console.Output);
        if (json == StandardOutput)
        {
            console.Output.Write(System.Text.Encoding.UTF8.GetString(figures));
            console.Output.Flush();
        }
    }

    private static int AtATime(int wanted) =>
        (int)Math.Max(1, Math.Min(Math.Min(wanted, Environment.ProcessorCount), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / BytesAtATime));
}
