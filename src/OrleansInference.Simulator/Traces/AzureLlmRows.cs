using System.Globalization;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Rows of <c>TIMESTAMP,ContextTokens,GeneratedTokens</c>.</summary>
internal static class AzureLlmRows
{
    public static RowArrivals Open(Scenario scenario)
    {
        var lines = new TraceLines(scenario.Trace.File);
        var header = lines.Next()?.Split(',', StringSplitOptions.TrimEntries);
        if (header is not ["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        {
            lines.Dispose();
            throw new ScenarioException(scenario.Trace.File, "line 1", "the header must be TIMESTAMP,ContextTokens,GeneratedTokens; put it there.");
        }

        return new(scenario, lines, Read);
    }

    private static TraceRow? Read(TraceLines lines)
    {
        if (lines.Next() is not { } line)
        {
            return null;
        }

        Span<Range> fields = stackalloc Range[4];
        if (line.AsSpan().Split(fields, ',', StringSplitOptions.TrimEntries) != 3)
        {
            throw lines.Wrong("the row must have the 3 values TIMESTAMP,ContextTokens,GeneratedTokens");
        }

        if (!DateTime.TryParse(line.AsSpan(fields[0]), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at))
        {
            throw lines.Wrong($"TIMESTAMP '{line[fields[0]]}' is no time");
        }

        return new(at.Ticks / TimeSpan.TicksPerMicrosecond, Tokens(lines, line, fields[1], "ContextTokens"), Tokens(lines, line, fields[2], "GeneratedTokens"));
    }

    private static int Tokens(TraceLines lines, string line, Range field, string name) =>
        int.TryParse(line.AsSpan(field), NumberStyles.None, CultureInfo.InvariantCulture, out var tokens)
            ? tokens
            : throw lines.Wrong($"{name} '{line[field]}' is no whole number, 0 or greater");
}
