using System.CommandLine;
using System.CommandLine.Parsing;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Commands;

/// <summary>The simulator's command line.</summary>
public static class SimulatorCommand
{
    /// <summary>Exit code: the command line, a scenario, a trace or a file cannot be used.</summary>
    public const int MistakeExitCode = 2;

    /// <summary>Exit code: ended by Ctrl+C.</summary>
    public const int CancelledExitCode = 130;

    // A policy that is being tuned asks for the token only now and then.
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Runs the command and returns its exit code.</summary>
    public static Task<int> RunAsync(string[] args, CancellationToken cancellationToken = default) =>
        RunAsync(args, Benches.Shipped, new() { ProcessTerminationTimeout = TerminationTimeout }, cancellationToken);

    /// <summary>Runs the command with the given policies and scenarios.</summary>
    internal static async Task<int> RunAsync(string[] args, Bench bench, InvocationConfiguration console, CancellationToken cancellationToken = default)
    {
        console.EnableDefaultExceptionHandler = false;
        var root = new RootCommand("Runs the router's policies in virtual time over real traffic, beside what people run today.")
        {
            CompareCommand.Create(bench),
            AdviseCommand.Create(bench),
            ReplayCommand.Create(bench),
            ExplainCommand.Create(),
            PoliciesCommand.Create(bench),
            ScenariosCommand.Create(bench),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var message in parsed.Errors.Select(static error => error.Message).Distinct())
            {
                await console.Error.WriteLineAsync(message);
            }

            return await MistakeAsync(parsed, console);
        }

        try
        {
            return await parsed.InvokeAsync(console, cancellationToken);
        }
        catch (Exception exception) when (CauseOf(exception) is UserMistakeException or ScenarioException)
        {
            await console.Error.WriteLineAsync(CauseOf(exception).Message);
            return await MistakeAsync(parsed, console);
        }
        catch (Exception exception) when (CauseOf(exception) is OperationCanceledException)
        {
            await console.Error.WriteLineAsync("Ended before it was done; nothing was written.");
            return CancelledExitCode;
        }
    }

    /// <summary>The first of several failures at a time; policies are tuned for several models at once.</summary>
    private static Exception CauseOf(Exception exception) => exception is AggregateException several ? several.Flatten().InnerExceptions[0] : exception;

    private static async Task<int> MistakeAsync(ParseResult parsed, InvocationConfiguration console)
    {
        var path = new List<string>();
        for (SymbolResult? at = parsed.CommandResult; at is CommandResult { Command: not RootCommand } command; at = at.Parent)
        {
            path.Insert(0, command.Command.Name + " ");
        }

        await console.Error.WriteLineAsync($"'{string.Concat(path)}--help' tells how it is used.");
        return MistakeExitCode;
    }
}
