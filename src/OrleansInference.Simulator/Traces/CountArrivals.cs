using System.Globalization;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Arrivals of a trace of numbers of requests per step, uniform in the step; only one step's line is held at a time.</summary>
internal sealed class CountArrivals(Scenario scenario) : IArrivals
{
    private readonly TraceLines _lines = new(scenario.Trace.File);
    private readonly TenantLottery _lottery = new(scenario);
    private readonly LengthQuantiles _input = scenario.Trace.InputTokens ?? throw new ArgumentException("Counts need lengths of inputs.", nameof(scenario));
    private readonly LengthQuantiles _output = scenario.Trace.OutputTokens ?? throw new ArgumentException("Counts need lengths of outputs.", nameof(scenario));
    private readonly double _stepUs = scenario.Trace.StepSeconds * 1e6;
    private readonly double _untilUs = scenario.Days * 86_400e6;
    private Chance _chance = new(scenario.Seed, "counts");
    private string _line = "";
    private int _at;
    private long _step = -1;
    private long _left;
    private double _position;

    /// <inheritdoc/>
    public bool TryNext(out Arrival arrival)
    {
        arrival = default;
        while (_left == 0)
        {
            if ((_step + 1) * _stepUs >= _untilUs || !TryCount(out var count))
            {
                return false;
            }

            _step++;
            _position = 0;
            _left = TenantLottery.Round(ref _chance, count * scenario.RateScale);
        }

        // The earliest of n uniform points is drawn, then the earliest of the others behind it: in order without holding them.
        _position += (1 - _position) * (1 - Math.Pow(_chance.Positive(), 1.0 / _left));
        _left--;
        var at = (long)((_step + Math.Min(_position, 1)) * _stepUs);
        if (at >= _untilUs)
        {
            return false;
        }

        arrival = _lottery.Draw(ref _chance, at, _input.At(_chance.Uniform()), _output.At(_chance.Uniform()));
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _lines.Dispose();

    private bool TryCount(out long count)
    {
        count = 0;
        while (true)
        {
            while (_at < _line.Length && char.IsWhiteSpace(_line[_at]))
            {
                _at++;
            }

            if (_at < _line.Length)
            {
                break;
            }

            if (_lines.Next() is not { } next)
            {
                return false;
            }

            (_line, _at) = (next, 0);
        }

        var start = _at;
        while (_at < _line.Length && !char.IsWhiteSpace(_line[_at]))
        {
            _at++;
        }

        return long.TryParse(_line.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out count)
            ? true
            : throw _lines.Wrong($"'{_line[start.._at]}' is no whole number of requests, 0 or greater");
    }
}
