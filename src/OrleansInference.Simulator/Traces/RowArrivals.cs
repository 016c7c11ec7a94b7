using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>A request as a row of a trace has it.</summary>
/// <param name="AtUs">Microseconds; the first row's are the beginning.</param>
/// <param name="InputTokens">Input tokens.</param>
/// <param name="OutputTokens">Output tokens.</param>
public readonly record struct TraceRow(long AtUs, int InputTokens, int OutputTokens);

/// <summary>
/// Arrivals of a trace with a row for each request. A row comes as many times as the rates' factor says, a fraction by chance; its copies are spread uniformly until the
/// next row. Only two rows are held at a time.
/// </summary>
internal sealed class RowArrivals : IArrivals
{
    private readonly TraceLines _lines;
    private readonly Func<TraceLines, TraceRow?> _read;
    private readonly TenantLottery _lottery;
    private readonly double _rateScale;
    private readonly double _untilUs;
    private readonly List<long> _copies = [];
    private Chance _chance;
    private TraceRow? _row;
    private TraceRow? _next;
    private long _firstUs;
    private int _given;

    public RowArrivals(Scenario scenario, TraceLines lines, Func<TraceLines, TraceRow?> read)
    {
        (_lines, _read) = (lines, read);
        _lottery = new(scenario);
        _chance = new(scenario.Seed, "rows");
        (_rateScale, _untilUs) = (scenario.RateScale, scenario.Days * 86_400e6);
        try
        {
            _next = read(lines) ?? throw new ScenarioException(lines.File, $"line {Math.Max(1, lines.Line)}", "has no request; it needs at least one row.");
        }
        catch (ScenarioException)
        {
            lines.Dispose();
            throw;
        }

        _firstUs = _next.Value.AtUs;
    }

    /// <inheritdoc/>
    public bool TryNext(out Arrival arrival)
    {
        while (_given == _copies.Count)
        {
            if (!Advance())
            {
                arrival = default;
                return false;
            }
        }

        var at = _copies[_given];
        if (at >= _untilUs)
        {
            arrival = default;
            return false;
        }

        _given++;
        arrival = _lottery.Draw(ref _chance, at, _row!.Value.InputTokens, _row.Value.OutputTokens);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _lines.Dispose();

    private bool Advance()
    {
        if (_next is not { } row || row.AtUs - _firstUs >= _untilUs)
        {
            return false;
        }

        _row = row;
        _next = _read(_lines);
        if (_next is { } next && next.AtUs < row.AtUs)
        {
            throw _lines.Wrong("the request comes before the row above it; rows must be in order of time");
        }

        _given = 0;
        _copies.Clear();
        var count = TenantLottery.Round(ref _chance, _rateScale);
        var gap = (_next?.AtUs ?? row.AtUs) - row.AtUs;
        for (long copy = 0; copy < count; copy++)
        {
            _copies.Add(row.AtUs - _firstUs + (copy == 0 ? 0 : (long)(_chance.Uniform() * gap)));
        }

        _copies.Sort();
        return true;
    }
}
