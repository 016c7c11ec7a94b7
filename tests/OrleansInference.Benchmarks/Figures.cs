using System.Text.Json;

namespace OrleansInference.Benchmarks;

/// <summary>Whether a smaller or a larger value is the better one.</summary>
internal enum Better
{
    Low,
    High,
}

/// <summary>Prints figures as JSON lines and keeps whether all are within their limits.</summary>
internal sealed class Figures(TextWriter output, TextWriter progress)
{
    public bool AllHold { get; private set; } = true;

    /// <summary>Says on the side what is being done.</summary>
    public void Say(string what) => progress.WriteLine(what);

    /// <summary>Prints a figure; without a limit it is there to compare with.</summary>
    public void Print(string name, double value, string unit, double? limit, Better better)
    {
        var rounded = Math.Round(value, Math.Abs(value) < 10 ? 3 : 1);
        AllHold &= limit is not { } bound || (better == Better.Low ? value <= bound : value >= bound);
        output.WriteLine(JsonSerializer.Serialize(new { name, value = rounded, unit, limit, better = better == Better.Low ? "low" : "high" }));
        output.Flush();
    }
}
