using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;

namespace OrleansInference.Batch;

/// <summary>The stream of the records failed: what it threw is the inner exception.</summary>
internal sealed class UnreadableRecordsException(Exception inner) : Exception("The records could not be read.", inner);

/// <summary>Reads JSON lines from a stream, holding no more than one of them. What is wrong with a line is named by its number, from 1.</summary>
/// <param name="mostBytes">Most bytes of one line.</param>
/// <param name="mostProblems">How many wrong lines are named before it gives up.</param>
internal sealed class RecordReader(int mostBytes, int mostProblems)
{
    private readonly List<string> _problems = [];

    /// <summary>What is wrong with the lines read so far; with anything in it the records must not be used.</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Whether so much is wrong that there is no use in going on.</summary>
    public bool HasGivenUp { get; private set; }

    /// <summary>Hands every record to <paramref name="take"/>, without its line end; empty lines are passed over.</summary>
    /// <param name="stream">What to read, to its end.</param>
    /// <param name="name">What the lines are lines of, such as the key of an object; empty for the only input.</param>
    /// <param name="take">Takes a record, valid during the call alone; false to stop.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    public async Task ReadAsync(Stream stream, string name, Func<ReadOnlySequence<byte>, ValueTask<bool>> take, CancellationToken cancellationToken)
    {
        var reader = PipeReader.Create(stream, new(leaveOpen: true));
        try
        {
            for (var number = 1L; ;)
            {
                ReadResult result;
                try
                {
                    result = await reader.ReadAsync(cancellationToken);
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    throw new UnreadableRecordsException(exception);
                }

                var buffer = result.Buffer;
                while (TryTakeLine(ref buffer, result.IsCompleted, out var line))
                {
                    if (line.Length > mostBytes)
                    {
                        Report(name, number, $"it has {line.Length} bytes, and a record has at most {mostBytes}");
                    }
                    else if (!IsBlank(line) && (Check(line) is { } wrong ? Report(name, number, wrong) : !await take(line)))
                    {
                        return;
                    }

                    number++;
                }

                // No more than a line may be waited for.
                if (HasGivenUp || (buffer.Length > mostBytes + 1 && Report(name, number, $"it has more than {mostBytes} bytes, the most of a record", giveUp: true)))
                {
                    return;
                }

                if (result.IsCompleted)
                {
                    return;
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
            }
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    private static bool TryTakeLine(ref ReadOnlySequence<byte> buffer, bool isEnd, out ReadOnlySequence<byte> line)
    {
        if (buffer.PositionOf((byte)'\n') is { } end)
        {
            line = buffer.Slice(0, end);
            buffer = buffer.Slice(buffer.GetPosition(1, end));
        }
        else if (isEnd && !buffer.IsEmpty)
        {
            line = buffer;
            buffer = buffer.Slice(buffer.End);
        }
        else
        {
            line = default;
            return false;
        }

        if (!line.IsEmpty && line.Slice(line.Length - 1).FirstSpan[0] == '\r')
        {
            line = line.Slice(0, line.Length - 1);
        }

        return true;
    }

    private static bool IsBlank(in ReadOnlySequence<byte> line)
    {
        foreach (var part in line)
        {
            if (part.Span.ContainsAnyExcept(" \t\r"u8))
            {
                return false;
            }
        }

        return true;
    }

    private static string? Check(in ReadOnlySequence<byte> line)
    {
        try
        {
            var json = new Utf8JsonReader(line);
            while (json.Read())
            {
            }

            return null;
        }
        catch (JsonException exception)
        {
            return $"it is not one JSON value (byte {(exception.BytePositionInLine ?? 0) + 1} of the line)";
        }
    }

    /// <summary>Whether to give up.</summary>
    private bool Report(string name, long number, string what, bool giveUp = false)
    {
        _problems.Add(name.Length == 0 ? $"Line {number}: {what}." : $"Line {number} of '{name}': {what}.");
        return HasGivenUp = giveUp || _problems.Count >= mostProblems;
    }
}
