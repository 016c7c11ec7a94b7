using System.CommandLine;
using System.Globalization;
using OrleansInference.Simulator.Decisions;

namespace OrleansInference.Simulator.Commands;

/// <summary>The command <c>explain</c>.</summary>
internal static class ExplainCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var log = new Option<string>("--log") { Description = "Decision log that 'replay' wrote.", Required = true, HelpName = "file" };
        var request = new Option<long>("--request")
        {
            Description = "The request's number, counted from 0 by arrival.",
            Required = true,
            HelpName = "number",
            CustomParser = static result =>
            {
                if (long.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                {
                    return number;
                }

                result.AddError($"--request {result.Tokens[0].Value} is no whole number from 0.");
                return 0;
            },
        };
        var command = new Command("explain", "Tells what became of one request in a decision log, and why.") { log, request };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var found = Find(parsed.GetRequiredValue(log), parsed.GetRequiredValue(request), cancellationToken);
            await ExplanationText.WriteAsync(found, parsed.InvocationConfiguration.Output);
            return 0;
        });
        return command;
    }

    private static LoggedRequest Find(string path, long number, CancellationToken cancellationToken)
    {
        try
        {
            return DecisionLogFile.Find(path, number, cancellationToken) ?? throw new UserMistakeException(string.Create(CultureInfo.InvariantCulture, $"There is no request {number} in '{path}'."));
        }
        catch (FormatException exception)
        {
            throw new UserMistakeException($"'{path}' is no decision log: {exception.Message}.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UserMistakeException($"The log '{path}' cannot be read: {exception.Message}", exception);
        }
    }
}
