using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>The lines of a trace, counted, so that what is wrong can be named by its line.</summary>
internal sealed class TraceLines(string file) : IDisposable
{
    private readonly StreamReader _reader = TraceFile.Open(file);

    public string File => file;

    public long Line { get; private set; }

    /// <summary>The next line that is not blank; null at the end.</summary>
    public string? Next()
    {
        try
        {
            while (_reader.ReadLine() is { } line)
            {
                Line++;
                if (!string.IsNullOrWhiteSpace(line))
                {
                    return line;
                }
            }

            return null;
        }
        catch (Exception wrong) when (wrong is InvalidDataException or IOException)
        {
            throw new ScenarioException(file, $"after line {Line}", $"the trace cannot be read on: {wrong.Message} Fetch the file anew.", wrong);
        }
    }

    public ScenarioException Wrong(string what) => new(file, $"line {Line}", $"{what}. Mend the row or take it out.");

    public void Dispose() => _reader.Dispose();
}
