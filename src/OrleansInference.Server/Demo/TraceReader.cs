using System.Globalization;

namespace OrleansInference.Demo;

/// <summary>Which of the two services a trace row comes from.</summary>
internal enum TraceSource
{
    /// <summary>A chat service: long answers, steady arrivals.</summary>
    Conversation = 0,

    /// <summary>A code completion service: long inputs, short answers, arrivals in bursts.</summary>
    Code = 1,
}

/// <summary>One request of the trace.</summary>
/// <param name="Source">The service it was sent to.</param>
/// <param name="Row">Row in the service's file, from 0.</param>
/// <param name="Offset">Arrival, from the first arrival of both files.</param>
/// <param name="InputTokens">Input tokens.</param>
/// <param name="OutputTokens">Output tokens.</param>
internal readonly record struct TraceRow(TraceSource Source, int Row, TimeSpan Offset, int InputTokens, int OutputTokens);

/// <summary>Reads the bundled Azure LLM inference trace.</summary>
internal static class TraceReader
{
    /// <summary>Where the trace is copied to by the build.</summary>
    public static string BundledFolder => Path.Combine(AppContext.BaseDirectory, "Demo", "traces");

    /// <summary>The requests of both services that arrive within <paramref name="span"/> of the first, in order of arrival.</summary>
    /// <exception cref="InvalidDataException">A file is missing or a row does not parse.</exception>
    public static IReadOnlyList<TraceRow> Read(string folder, TimeSpan span)
    {
        var conversation = ReadFile(Path.Combine(folder, "conv.csv"));
        var code = ReadFile(Path.Combine(folder, "code.csv"));
        var origin = conversation.Concat(code).Min(row => row.At);
        return
        [
            .. conversation.Select((row, i) => ToRow(TraceSource.Conversation, i, row, origin))
                .Concat(code.Select((row, i) => ToRow(TraceSource.Code, i, row, origin)))
                .Where(row => row.Offset < span)
                .OrderBy(row => row.Offset).ThenBy(row => row.Source).ThenBy(row => row.Row),
        ];
    }

    private static TraceRow ToRow(TraceSource source, int row, (DateTime At, int Input, int Output) data, DateTime origin) =>
        new(source, row, data.At - origin, data.Input, data.Output);

    private static List<(DateTime At, int Input, int Output)> ReadFile(string path)
    {
        if (!File.Exists(path))
        {
            throw new InvalidDataException($"The trace {path} is missing; build the server again, which copies it there.");
        }

        // Three plain columns without quotes; the first line names them.
        var rows = new List<(DateTime, int, int)>();
        var number = 1;
        foreach (var line in File.ReadLines(path).Skip(1))
        {
            number++;
            var fields = line.Split(',');
            if (fields.Length != 3
                || !DateTime.TryParse(fields[0], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at)
                || !int.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var input)
                || !int.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out var output))
            {
                throw new InvalidDataException($"{path}, line {number}: expected a time and two token counts.");
            }

            rows.Add((at, input, output));
        }

        return rows.Count > 0 ? rows : throw new InvalidDataException($"The trace {path} holds no request.");
    }
}
