using System.CommandLine;
using OrleansInference.Configuration;

namespace OrleansInference.Diagnosis;

/// <summary>The command that examines what a server depends on.</summary>
internal static class DoctorCommand
{
    /// <summary>Exit code: something is not usable.</summary>
    public const int WrongExitCode = 1;

    public static Command Create(Func<ParseResult, ServerSettings> settings, params Option[] options)
    {
        var command = new Command("doctor", "Tries each dependency of the server (credentials, clock, tables, bucket, queues, endpoints, and what it may do with them) and prints what is wrong and how to mend it. Exit code 0: all can be used; 1: something cannot; 2: the settings are wrong.");
        foreach (var option in options)
        {
            command.Options.Add(option);
        }

        var invoke = new Option<bool>("--invoke") { Description = "Also makes one real, small call of each endpoint, which may cost what a call costs. Without it no model is called." };
        command.Options.Add(invoke);
        command.SetAction((parsed, cancellationToken) => RunAsync(settings(parsed), parsed.GetValue(invoke), parsed.InvocationConfiguration.Output, cancellationToken));
        return command;
    }

    internal static async Task<int> RunAsync(ServerSettings settings, bool invoke, TextWriter output, CancellationToken cancellationToken)
    {
        using var doctor = new Doctor(settings, invoke: invoke);
        var (wrong, warnings, all) = (0, 0, 0);
        await foreach (var finding in doctor.ExamineAsync(cancellationToken))
        {
            all++;
            wrong += finding.State == FindingState.Wrong ? 1 : 0;
            warnings += finding.State == FindingState.Warning ? 1 : 0;
            await output.WriteLineAsync($"{Word(finding.State)}  {finding.Dependency}: {finding.Detail}");
            if (finding.Remedy.Length > 0)
            {
                await output.WriteLineAsync($"         {finding.Remedy}");
            }
        }

        await output.WriteLineAsync($"{all} examined: {all - wrong - warnings} ok, {warnings} with warnings, {wrong} wrong.");
        return wrong > 0 ? WrongExitCode : 0;
    }

    private static string Word(FindingState state) => state switch
    {
        FindingState.Ok => "ok     ",
        FindingState.Warning => "warning",
        _ => "WRONG  ",
    };
}
