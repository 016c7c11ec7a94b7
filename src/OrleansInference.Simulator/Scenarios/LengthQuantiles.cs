using System.Collections.Immutable;
using System.Globalization;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>A distribution of lengths in tokens, by its quantiles: between two of them it is a straight line, beyond the outermost it is constant.</summary>
public sealed class LengthQuantiles
{
    private const int Cells = 1024;
    private readonly double[] _levels;
    private readonly double[] _values;
    private readonly int[] _first = new int[Cells + 1];

    /// <summary>A distribution through the given points.</summary>
    /// <param name="points">Level (0..1) and value (not negative), both rising.</param>
    /// <exception cref="ArgumentException">There is no point, or they do not rise.</exception>
    public LengthQuantiles(ImmutableArray<(double Level, double Value)> points)
    {
        if (points.IsDefaultOrEmpty)
        {
            throw new ArgumentException("A length needs at least one quantile.", nameof(points));
        }

        for (var i = 0; i < points.Length; i++)
        {
            if (!(points[i].Level is >= 0 and <= 1) || !(points[i].Value >= 0) || !double.IsFinite(points[i].Value) || (i > 0 && (points[i].Level <= points[i - 1].Level || points[i].Value < points[i - 1].Value)))
            {
                throw new ArgumentException("Quantiles need levels between 0 and 1 and values, both rising.", nameof(points));
            }
        }

        _levels = [.. points.Select(static point => point.Level)];
        _values = [.. points.Select(static point => point.Value)];
        for (var cell = 0; cell <= Cells; cell++)
        {
            var at = (double)cell / Cells;
            var next = 0;
            while (next < _levels.Length && _levels[next] < at)
            {
                next++;
            }

            _first[cell] = next;
        }
    }

    /// <summary>The level that a name such as <c>p99.9</c> stands for.</summary>
    public static bool TryLevel(string name, out double level)
    {
        ArgumentNullException.ThrowIfNull(name);
        level = 0;
        if (name.Length < 2 || name[0] != 'p' || !double.TryParse(name.AsSpan(1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var percent) || percent > 100)
        {
            return false;
        }

        level = percent / 100;
        return true;
    }

    /// <summary>The length at a level.</summary>
    /// <param name="level">0..1.</param>
    public int At(double level)
    {
        var next = _first[(int)(level * Cells)];
        while (next < _levels.Length && _levels[next] < level)
        {
            next++;
        }

        if (next == 0)
        {
            return (int)_values[0];
        }

        if (next == _levels.Length)
        {
            return (int)_values[^1];
        }

        var share = (level - _levels[next - 1]) / (_levels[next] - _levels[next - 1]);
        return (int)Math.Round(_values[next - 1] + (share * (_values[next] - _values[next - 1])));
    }
}
