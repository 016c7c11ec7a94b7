namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// How much the dearest of a class's requests cost together: a histogram in steps of half a percent that keeps counts and sums by model. Of the one step that is
/// taken in part the upper edge is taken, so that what it tells is never too little.
/// </summary>
internal sealed class DearestRequests(int models)
{
    private const double Step = 1.005;
    private const double Least = 1e-3;
    private const int Cells = 8192;
    private static readonly double LogStep = Math.Log(Step);
    private readonly long[] _counts = new long[Cells * models];
    private readonly double[] _sums = new double[Cells * models];

    /// <summary>Counts a request.</summary>
    /// <param name="model">Index of its model.</param>
    /// <param name="nanos">What it costs.</param>
    public void Add(int model, double nanos)
    {
        var cell = (CellOf(nanos) * models) + model;
        _counts[cell]++;
        _sums[cell] += nanos;
    }

    /// <summary>At least what the given number of requests cost at most, by model.</summary>
    public double[] Take(long requests)
    {
        var taken = new double[models];
        for (var cell = Cells - 1; cell >= 0 && requests > 0; cell--)
        {
            var counts = _counts.AsSpan(cell * models, models);
            var sums = _sums.AsSpan(cell * models, models);
            var count = 0L;
            var sum = 0.0;
            for (var model = 0; model < models; model++)
            {
                count += counts[model];
                sum += sums[model];
            }

            // The part of a step that is left is shared over the models in proportion; only its amount matters.
            var share = count <= requests || sum == 0 ? 1 : Math.Min(1, requests * Least * Math.Pow(Step, cell + 1) / sum);
            for (var model = 0; model < models; model++)
            {
                taken[model] += sums[model] * share;
            }

            requests -= count;
        }

        return taken;
    }

    private static int CellOf(double nanos) => nanos <= Least ? 0 : Math.Min(Cells - 1, (int)(Math.Log(nanos / Least) / LogStep));
}
