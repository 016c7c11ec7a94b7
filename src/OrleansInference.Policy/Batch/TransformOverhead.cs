namespace OrleansInference.Batch;

/// <summary>What an endpoint's transform jobs take beyond the requests themselves, as far as it was measured.</summary>
public static class TransformOverhead
{
    private const double Weight = 0.3;

    /// <summary>Milliseconds believed after one more job: the last ones count most.</summary>
    /// <param name="before">What was believed; null before the first.</param>
    /// <param name="milliseconds">What the job took.</param>
    public static double After(double? before, double milliseconds) => before is { } believed ? believed + (Weight * (milliseconds - believed)) : milliseconds;
}
