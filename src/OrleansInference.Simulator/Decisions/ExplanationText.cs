using System.Globalization;
using OrleansInference.Simulator.Reporting;
using Spectre.Console;

namespace OrleansInference.Simulator.Decisions;

/// <summary>A logged request in words.</summary>
internal static class ExplanationText
{
    private const int WideEnough = 250;

    /// <summary>Writes all that a log has of a request.</summary>
    public static async Task WriteAsync(LoggedRequest request, TextWriter output)
    {
        await output.WriteLineAsync(Invariant($"Request {request.Number} of {request.Tenant}, class {request.Class}: {request.Model}, {request.InputTokens} tokens in, {request.OutputTokens} out"));
        await output.WriteLineAsync($"  came     {At(request.ArrivedSeconds)}");
        await output.WriteLineAsync($"  deadline {At(request.DeadlineSeconds)}, {Span(request.DeadlineSeconds - request.ArrivedSeconds)} after it came");
        if (request.StartedSeconds is { } started)
        {
            await output.WriteLineAsync($"  began    {At(started)}, after {Span(started - request.ArrivedSeconds)}, in lane {request.Lane} by variant {request.Variant}");
        }

        if (request.EndedSeconds is { } ended)
        {
            var early = request.DeadlineSeconds - ended;
            var served = request.StartedSeconds is { } from ? $"after {Span(ended - from)} of service, " : "";
            await output.WriteLineAsync($"  ended    {At(ended)}, {served}{Span(Math.Abs(early))} {(early >= 0 ? "before" : "after")} its deadline");
        }

        await output.WriteLineAsync($"  outcome  {Meaning(request.Outcome)}");
        foreach (var decision in request.Decisions)
        {
            await output.WriteLineAsync();
            await output.WriteLineAsync($"Decided at {At(decision.AtSeconds)}: {decision.Text}");
            if (!decision.Candidates.IsDefaultOrEmpty)
            {
                Write(decision, output);
            }
        }

        if (request.Decisions.IsDefaultOrEmpty && request.Outcome != RequestOutcome.Infeasible)
        {
            await output.WriteLineAsync();
            await output.WriteLineAsync("The policy logged no decision.");
        }
    }

    private static void Write(LoggedDecision decision, TextWriter output)
    {
        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(output) });
        if (!console.Profile.Out.IsTerminal)
        {
            console.Profile.Width = WideEnough;
        }

        var figures = decision.Candidates.SelectMany(static candidate => candidate.Quote.Keys).Distinct().ToList();
        var table = new Table { Border = TableBorder.Rounded };
        foreach (var column in (string[])["", "Candidate", "Lane", "Variant", .. figures, "Why it lost"])
        {
            table.AddColumn(new TableColumn(new Text(column)) { Alignment = figures.Contains(column) ? Justify.Right : Justify.Left });
        }

        foreach (var candidate in decision.Candidates)
        {
            table.AddRow(
            [
                new Text(candidate.Chosen ? "→" : ""),
                new Text(candidate.Name),
                new Text(candidate.Lane.ToString()),
                new Text(candidate.Variant),
                .. figures.Select(figure => new Text(candidate.Quote.TryGetValue(figure, out var value) ? value.ToString("G6", CultureInfo.InvariantCulture) : "–")),
                new Text(candidate.Chosen ? "chosen" : candidate.Dropped ?? ""),
            ]);
        }

        console.Write(table);
    }

    private static string Meaning(RequestOutcome outcome) => outcome switch
    {
        RequestOutcome.InTime => "answered in time",
        RequestOutcome.Late => "answered late",
        RequestOutcome.BelowQuality => "answered in time, by a variant below the quality asked for",
        RequestOutcome.CutOff => "cut off: its service took longer than the lane allows",
        RequestOutcome.Missed => "given up by the policy",
        _ => "not served: no lane allows a service as long as its",
    };

    private static string At(decimal seconds) =>
        Invariant($"day {(int)(seconds / 86_400) + 1}, {TimeSpan.FromSeconds((double)(seconds % 86_400)):hh\\:mm\\:ss} ({seconds} s)");

    private static string Span(decimal seconds) => Numbers.Duration((double)seconds);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
