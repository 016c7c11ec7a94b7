using System.Globalization;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>A trace of comma-separated values with a header, read row by row. Traces have no quoted values.</summary>
internal sealed class TraceTable : IDisposable
{
    private readonly TraceLines _lines;
    private readonly Range[] _fields;
    private string _row = "";
    private int _count;

    public TraceTable(string file)
    {
        _lines = new(file);
        if (_lines.Next() is not { } header)
        {
            Dispose();
            throw new ScenarioException(file, "line 1", "is empty; it needs a header of column names.");
        }

        Columns = header.Split(',', StringSplitOptions.TrimEntries);
        _fields = new Range[Columns.Count + 1];
    }

    public IReadOnlyList<string> Columns { get; }

    public bool Next()
    {
        if (_lines.Next() is not { } row)
        {
            return false;
        }

        _row = row;
        _count = row.AsSpan().Split(_fields, ',', StringSplitOptions.TrimEntries);
        return _count == Columns.Count ? true : throw _lines.Wrong($"the row must have {Columns.Count} values, as the header has");
    }

    public int Column(string name)
    {
        for (var i = 0; i < Columns.Count; i++)
        {
            if (Columns[i] == name)
            {
                return i;
            }
        }

        Dispose();
        throw new ScenarioException(_lines.File, "line 1", $"has no column '{name}'; add it.");
    }

    public ReadOnlySpan<char> Span(int column) => _row.AsSpan(_fields[column]);

    public string Text(int column) => _row[_fields[column]];

    public double Number(int column, Bound bound)
    {
        if (!double.TryParse(Span(column), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) || !double.IsFinite(value))
        {
            throw Wrong(column, $"'{Text(column)}' is no number");
        }

        return bound.Allows(value) ? value : throw Wrong(column, $"is {Text(column)}; it must be {bound.What}");
    }

    public ScenarioException Wrong(int column, string what) => _lines.Wrong($"{Columns[column]} {what}");

    public void Dispose() => _lines.Dispose();
}
