using System.ComponentModel;
using System.Diagnostics;

namespace OrleansInference.Tests;

/// <summary>What a command printed and how it ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Errors)
{
    public string Success()
    {
        Assert.True(ExitCode == 0, $"The command ended with {ExitCode}:\n{Errors}\n{Output}");
        return Output;
    }
}

/// <summary>Runs commands of others: the AWS CLI, npm, node, Python; and the server itself.</summary>
internal static class ExternalCommand
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(4);

    public static async Task<CommandResult> RunAsync(string command, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, string? folder = null)
    {
        using var process = Start(command, arguments, environment, folder);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        using var timeout = new CancellationTokenSource(Longest);
        try
        {
            await process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{command} {string.Join(' ', arguments)} did not end within {Longest}:\n{await output}\n{await errors}");
        }

        return new(process.ExitCode, await output, await errors);
    }

    public static Process Start(string command, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null, string? folder = null)
    {
        var start = new ProcessStartInfo(command, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? AppContext.BaseDirectory,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            // An empty value takes the variable away: the AWS CLI reads an empty AWS_PROFILE as the name of a profile.
            start.Environment[name] = value.Length == 0 ? null : value;
        }

        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"The tests need the command '{command}'; .ci/run installs it.", exception);
        }
    }
}
