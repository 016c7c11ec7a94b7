namespace OrleansInference.Latency;

/// <summary>The standard normal distribution, as far as priors need it.</summary>
internal static class NormalDistribution
{
    /// <summary>The 99th percentile.</summary>
    public const double Z99 = 2.326_347_874_040_841;

    /// <summary>P(Z ≤ z) to 10⁻⁷: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.17.</summary>
    public static double Cdf(double z)
    {
        var t = 1 / (1 + (0.231_641_9 * Math.Abs(z)));
        var tail = Math.Exp(-0.5 * z * z) * 0.398_942_280_401_432_7
            * t * (0.319_381_530 + (t * (-0.356_563_782 + (t * (1.781_477_937 + (t * (-1.821_255_978 + (t * 1.330_274_429))))))));
        return z >= 0 ? 1 - tail : tail;
    }
}
