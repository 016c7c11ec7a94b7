using System.CommandLine;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>policies</c>.</summary>
internal static class PoliciesCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bench bench)
    {
        var command = new Command("policies", "Lists the policies and what they do.");
        command.SetAction((parsed, cancellationToken) =>
            TwoColumns.WriteAsync(parsed.InvocationConfiguration.Output, bench.Policies.Select(static choice => (choice.Name, choice.About)), cancellationToken));
        return command;
    }
}
