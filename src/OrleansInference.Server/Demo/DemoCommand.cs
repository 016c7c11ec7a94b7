using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace OrleansInference.Demo;

/// <summary>The command <c>demo</c>.</summary>
internal static class DemoCommand
{
    private const double MaxSpeed = 200;

    /// <summary>The command; <paramref name="run"/> does the work and answers the exit code.</summary>
    public static Command Create(Func<DemoOptions, CancellationToken, Task<int>> run)
    {
        var speed = new Option<double>("--speed")
        {
            Description = Invariant($"How many times faster than life the replay and the embedded AWS run, 1..{MaxSpeed}."),
            DefaultValueFactory = _ => DemoOptions.DefaultSpeed,
        };
        var minutes = new Option<double>("--minutes")
        {
            Description = Invariant($"Minutes of the trace to replay, above 0 and at most {DemoOptions.MaxMinutes}."),
            DefaultValueFactory = _ => DemoOptions.DefaultMinutes,
        };
        var data = new Option<string?>("--data") { Description = "Folder for the ledger and the embedded AWS. Default: a new one below the temporary folder." };
        var port = new Option<int>("--port") { Description = "Port of the front door on 127.0.0.1; 0 takes a free one.", DefaultValueFactory = _ => new DemoOptions().Port };
        var exit = new Option<bool>("--exit") { Description = "End after the summary instead of staying up." };
        Require(speed, value => value is >= 1 and <= MaxSpeed, Invariant($"give 1..{MaxSpeed}"));
        Require(minutes, value => value is > 0 and <= DemoOptions.MaxMinutes, Invariant($"give a number above 0 and at most {DemoOptions.MaxMinutes}"));
        Require(port, value => value is >= 0 and <= 65535, "give 0..65535");

        var command = new Command("demo", "Replays real traffic of five tenants over simulated SageMaker endpoints, through this server's own front door.")
        {
            speed, minutes, data, port, exit,
        };
        command.SetAction((parsed, cancellationToken) => run(
            new()
            {
                Speed = parsed.GetValue(speed),
                Minutes = parsed.GetValue(minutes),
                DataFolder = parsed.GetValue(data),
                Port = parsed.GetValue(port),
                Exit = parsed.GetValue(exit),
            },
            cancellationToken));
        return command;
    }

    private static void Require<T>(Option<T> option, Func<T, bool> isValid, string remedy) =>
        option.Validators.Add(result =>
        {
            // A value that does not even parse has its own message.
            if (result.Tokens.Count == 1 && !result.Errors.Any() && Parsed(result) is { } value && !isValid(value))
            {
                result.AddError($"{option.Name} {result.Tokens[0].Value} is out of range; {remedy}.");
            }

            T? Parsed(OptionResult of)
            {
                try
                {
                    return of.GetValueOrDefault<T>();
                }
                catch (InvalidOperationException)
                {
                    return default;
                }
            }
        });

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
