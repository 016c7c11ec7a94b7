using System.Numerics;

namespace OrleansInference.Simulator.Bounds;

/// <summary>The least of consecutive numbers, in constant time: a sparse table (Bender, Farach-Colton, The LCA problem revisited, 2000).</summary>
internal sealed class LeastInWindow
{
    private readonly double[][] _rows;

    public LeastInWindow(double[] values)
    {
        var rows = new List<double[]> { values };
        for (var length = 2; length <= values.Length; length *= 2)
        {
            var last = rows[^1];
            var row = new double[values.Length - length + 1];
            for (var i = 0; i < row.Length; i++)
            {
                row[i] = Math.Min(last[i], last[i + (length / 2)]);
            }

            rows.Add(row);
        }

        _rows = [.. rows];
    }

    /// <summary>The least from one position to another, both among them; positions after the last are taken as <paramref name="beyond"/>.</summary>
    public double Of(int from, int to, double beyond)
    {
        to = Math.Min(to, _rows[0].Length - 1);
        if (from > to)
        {
            return beyond;
        }

        var row = BitOperations.Log2((uint)(to - from + 1));
        return Math.Min(_rows[row][from], _rows[row][to - (1 << row) + 1]);
    }
}
