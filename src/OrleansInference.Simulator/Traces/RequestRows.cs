using System.Text.Json;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Lines of <c>{"timestamp": ms, "input_length": tokens, "output_length": tokens}</c>.</summary>
internal static class RequestRows
{
    public static RowArrivals Open(Scenario scenario) => new(scenario, new(scenario.Trace.File), Read);

    private static TraceRow? Read(TraceLines lines)
    {
        if (lines.Next() is not { } line)
        {
            return null;
        }

        try
        {
            using var row = JsonDocument.Parse(line);
            return new((long)(Number(lines, row, "timestamp", 9e15) * 1000), (int)Number(lines, row, "input_length", int.MaxValue), (int)Number(lines, row, "output_length", int.MaxValue));
        }
        catch (JsonException wrong)
        {
            throw lines.Wrong($"is not JSON: {wrong.Message}");
        }
    }

    private static double Number(TraceLines lines, JsonDocument row, string name, double most) =>
        row.RootElement.ValueKind == JsonValueKind.Object && row.RootElement.TryGetProperty(name, out var found) && found.ValueKind == JsonValueKind.Number
            && found.TryGetDouble(out var value) && value >= 0 && value <= most
            ? value
            : throw lines.Wrong($"{name} must be there, a number of 0 or greater");
}
