namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// How much the dearest of some requests cost together: a histogram in steps of half a percent that keeps counts and sums. Of the one step that is
/// taken in part the upper edge is taken, so that what it tells is never too little.
/// </summary>
internal sealed class DearestRequests
{
    private const double Step = 1.005;
    private const double Least = 1e-3;
    private const int Cells = 8192;
    private static readonly double LogStep = Math.Log(Step);
    private readonly long[] _counts = new long[Cells];
    private readonly double[] _sums = new double[Cells];

    /// <summary>Counts a request.</summary>
    /// <param name="nanos">What it costs.</param>
    public void Add(double nanos)
    {
        var cell = CellOf(nanos);
        _counts[cell]++;
        _sums[cell] += nanos;
    }

    /// <summary>At least what the given number of requests cost at most; none if that is not greater than 0.</summary>
    public double Take(long requests)
    {
        var taken = 0.0;
        for (var cell = Cells - 1; cell >= 0 && requests > 0; cell--)
        {
            taken += _counts[cell] <= requests ? _sums[cell] : Math.Min(_sums[cell], requests * Least * Math.Pow(Step, cell + 1));
            requests -= _counts[cell];
        }

        return taken;
    }

    private static int CellOf(double nanos) => nanos <= Least ? 0 : Math.Min(Cells - 1, (int)(Math.Log(nanos / Least) / LogStep));
}
