using System.Collections.Immutable;
using OrleansInference.Simulator.Reporting;
using Spectre.Console;

namespace OrleansInference.Simulator.Advice;

/// <summary>Advice as a table for a console.</summary>
internal static class AdviceTable
{
    private const int WideEnough = 150;

    /// <summary>Writes the report.</summary>
    public static void Write(AdviceReport report, TextWriter writer)
    {
        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(writer) });
        if (!console.Profile.Out.IsTerminal)
        {
            console.Profile.Width = WideEnough;
        }

        if (report.Today is { } today)
        {
            console.WriteLine(Words.Of($"{report.Source} under {report.Policy}: {Numbers.Dollars(today.UsdPerMonth)} in 30 days, from {report.Days:0.##} simulated days; in time {Attainment(today.Attainment)} (High / Medium / Low)."));
        }

        if (report.Advices.IsEmpty)
        {
            console.WriteLine("Nothing to advise: no change that was looked at saves anything worth the change.");
        }
        else
        {
            console.Write(Table(report.Advices));
            console.WriteLine(Words.Of($"Savings overlap, since each is for its change alone: they do not add up. The largest alone is {Numbers.Dollars(report.LargestUsdPerMonth)} a month. Make one change, then ask again."));
        }

        if (!report.HeldBack.IsEmpty)
        {
            console.WriteLine();
            console.WriteLine("Not advised, since it would push a class below its target:");
            console.Write(Table(report.HeldBack));
        }
    }

    private static Table Table(ImmutableArray<Advice> advices)
    {
        var table = new Table { Border = TableBorder.Rounded, ShowRowSeparators = true };
        table.AddColumn(new TableColumn(new Text(advices.Any(static advice => advice.IsEstimate) ? "Saves a month,\nestimated" : "Saves a\nmonth")) { NoWrap = true, Alignment = Justify.Right });
        table.AddColumn(new TableColumn(new Text("What is wasted, why, and what to do")));
        if (advices.Any(static advice => advice.Before is not null))
        {
            table.AddColumn(new TableColumn(new Text("In time, %, today → then\nHigh / Medium / Low")) { NoWrap = true });
        }

        foreach (var advice in advices)
        {
            var cells = new List<Text> { new(Numbers.Dollars(Math.Round(advice.SavesUsdPerMonth, 2))), new($"{advice.What} {advice.Why}\n→ {advice.Do}{Choices(advice)}") };
            if (advice is { Before: { } before, After: { } after })
            {
                cells.Add(new($"{Attainment(before.Attainment)} →\n{Attainment(after.Attainment)}{Missed(advice)}"));
            }

            table.AddRow(cells);
        }

        return table;
    }

    private static string Choices(Advice advice) => advice.Simulated.Length < 2
        ? ""
        : $"\nSimulated: {string.Join("; ", advice.Simulated.Select(static each => $"{each.Change} {(each.SavesUsdPerMonth < 0 ? "costs" : "saves")} {Numbers.Dollars(Math.Round(Math.Abs(each.SavesUsdPerMonth), 2))}{(each.SavesUsdPerMonth < 0 ? " more" : "")}{(each.Missed.IsEmpty ? "" : $", {string.Join(" and ", each.Missed)} below target")}"))}.";

    private static string Missed(Advice advice) => advice.Missed.IsEmpty ? "" : $"\n{string.Join(" and ", advice.Missed)} below target";

    private static string Attainment(ImmutableArray<double?> shares) =>
        string.Join(" / ", shares.Select(static share => share is { } value ? Numbers.Attainment(value).Replace(" %", "", StringComparison.Ordinal) : "–"));
}
