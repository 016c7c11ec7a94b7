using System.CommandLine;

namespace OrleansInference.Simulator.Commands;

/// <summary>The simulator's command line.</summary>
public static class SimulatorCommand
{
    /// <summary>Runs the command and returns its exit code.</summary>
    public static async Task<int> RunAsync(string[] args, CancellationToken cancellationToken = default)
    {
        var command = new RootCommand("Runs the router's policies in virtual time over real traffic, beside what people run today.");
        return await command.Parse(args).InvokeAsync(cancellationToken: cancellationToken);
    }
}
