using OrleansInference.Latency;

namespace OrleansInference.Routing;

/// <summary>
/// When a call that has not been answered deserves a second try elsewhere beside it (Dean, Barroso, "The Tail at Scale", CACM 56(2), 2013):
/// not before most calls of its kind have been answered, and only once it has become too unlikely to make its deadline by itself.
/// </summary>
public static class Hedging
{
    /// <summary>The least quantile after which a second try may be made: earlier ones would double much of the load.</summary>
    public const double LeastQuantile = 0.5;

    /// <summary>Milliseconds after the call was sent; null: it is not worth a second try at any time.</summary>
    /// <param name="service">How long calls of its kind take.</param>
    /// <param name="leftMs">Milliseconds from the sending to the deadline.</param>
    /// <param name="quantile">The share of such calls, <see cref="LeastQuantile"/>..1, that would have been answered by then.</param>
    /// <param name="target">The probability of being in time that is asked for, 0..1.</param>
    public static double? DelayMs(LatencyDistribution service, double leftMs, double quantile, double target)
    {
        ArgumentNullException.ThrowIfNull(service);
        ArgumentOutOfRangeException.ThrowIfNotEqual(quantile is >= LeastQuantile and <= 1, true, nameof(quantile));
        var inTime = service.ProbabilityWithin(leftMs);
        var earliest = service.Quantile(quantile);
        if (!(earliest < leftMs) || IsLikely(leftMs))
        {
            return null;
        }

        if (!IsLikely(earliest))
        {
            return earliest;
        }

        // The longer it goes unanswered, the less likely it is: halving finds where it falls below the target, to the millisecond.
        double likely = earliest, unlikely = leftMs;
        while (unlikely - likely > 1)
        {
            var middle = (likely + unlikely) / 2;
            (likely, unlikely) = IsLikely(middle) ? (middle, unlikely) : (likely, middle);
        }

        return unlikely;

        // P(service ≤ left | service > waited) ≥ target.
        bool IsLikely(double waited)
        {
            var answered = service.ProbabilityWithin(waited);
            return inTime - answered >= target * (1 - answered);
        }
    }
}
