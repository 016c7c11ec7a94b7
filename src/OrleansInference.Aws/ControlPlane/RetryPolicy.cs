namespace OrleansInference.Aws.ControlPlane;

/// <summary>
/// How often and after what wait a call is repeated: exponential with full jitter (Brooker, "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015), so that silos that failed together do not come back together.
/// </summary>
internal sealed record RetryPolicy(int MaxAttempts, TimeSpan BaseDelay)
{
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(20);

    public static RetryPolicy Of(AwsOptions options) => new(options.MaxAttempts, options.RetryBaseDelay);

    /// <summary>The wait after a failed attempt, counted from 1, for a draw from 0 to 1.</summary>
    public TimeSpan DelayAfter(int attempt, double draw) =>
        TimeSpan.FromTicks((long)(Math.Min(LongestDelay.Ticks, BaseDelay.Ticks * Math.Pow(2, attempt - 1)) * draw));
}
