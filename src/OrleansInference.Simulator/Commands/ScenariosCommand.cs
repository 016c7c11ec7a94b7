using System.CommandLine;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>scenarios</c>.</summary>
internal static class ScenariosCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bench bench)
    {
        var command = new Command("scenarios", "Lists the scenarios that come with the product.");
        command.SetAction((parsed, cancellationToken) =>
            TwoColumns.WriteAsync(parsed.InvocationConfiguration.Output, bench.Shipped().Select(static scenario => (scenario.Name, scenario.About)), cancellationToken));
        return command;
    }
}
