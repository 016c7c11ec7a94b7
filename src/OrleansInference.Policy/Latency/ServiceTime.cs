namespace OrleansInference.Latency;

/// <summary>How long one request's service is expected to take: a distribution, and what its millisecond stands for.</summary>
internal readonly struct ServiceTime
{
    // Lognormal, of mean 1 s, by the standard deviation of the logarithm in steps.
    private const double SpreadStep = 0.02;
    private const int Spreads = 25;
    private const double MeanMs = 1000;
    private static readonly LatencyDistribution[] Lognormals = [.. Enumerable.Range(1, Spreads).Select(static i => Lognormal(i * SpreadStep))];

    private readonly LatencyDistribution _distribution;
    private readonly double _unit;

    private ServiceTime(LatencyDistribution distribution, double unit) => (_distribution, _unit) = (distribution, unit);

    /// <summary>As requests of its size class take.</summary>
    public static ServiceTime Of(LatencyDistribution sizeClass) => new(sizeClass, 1);

    /// <summary>As its tokens tell (<see cref="ServiceFit"/>).</summary>
    /// <param name="meanMs">The mean in milliseconds.</param>
    /// <param name="spread">Relative deviation, greater than 0.</param>
    public static ServiceTime Of(double meanMs, double spread) => new(Lognormals[Math.Clamp((int)Math.Ceiling(spread / SpreadStep) - 1, 0, Spreads - 1)], meanMs / MeanMs);

    /// <summary>P(service ≤ <paramref name="milliseconds"/>).</summary>
    public double ProbabilityWithin(double milliseconds) => _distribution.ProbabilityWithin(milliseconds / _unit);

    /// <summary>P(delay + scale × start + service ≤ <paramref name="milliseconds"/>) for independent parts.</summary>
    public double ProbabilityWithin(double milliseconds, double delay, LatencyDistribution start, double scale) =>
        _distribution.ProbabilityWithin(milliseconds / _unit, delay / _unit, start, scale / _unit);

    /// <summary>P(wait + service ≤ <paramref name="milliseconds"/>) for an independent gamma-distributed wait.</summary>
    public double ProbabilityWithin(double milliseconds, double meanWait, double shape) =>
        _distribution.ProbabilityWithin(milliseconds / _unit, meanWait / _unit, shape);

    private static LatencyDistribution Lognormal(double sigma)
    {
        var weights = new double[LatencyBuckets.Count];
        var median = MeanMs * Math.Exp(-0.5 * sigma * sigma);
        LatencyBelief.AddLognormal(weights, median, median * Math.Exp(NormalDistribution.Z99 * sigma), 1);
        return LatencyDistribution.FromWeights(weights);
    }
}
