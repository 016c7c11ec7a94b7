using System.Numerics;

namespace OrleansInference.Routing;

/// <summary>
/// <see cref="RoutingPolicyKind.FixedRule"/>: High to real-time, Medium to async, Low to batch, whatever it costs. A model
/// that does not have the lane, or cannot use it for this request, takes the next more urgent one.
/// </summary>
internal static class FixedRule
{
    private static ReadOnlySpan<Lane> Order => [Lane.Batch, Lane.Async, Lane.Realtime, Lane.Serverless];

    /// <summary>Leaves one lane's candidates in the sets and marks the others.</summary>
    public static void Narrow(ReadOnlySpan<Candidate> candidates, Span<Quote> quotes, in RouteRequest request, TrafficClass trafficClass, ref ulong feasible, ref ulong unlikely)
    {
        var open = feasible | unlikely;
        ulong kept = 0;
        for (var rest = unlikely; rest != 0 && !request.CanDefer; rest &= rest - 1)
        {
            // A lane of jobs is of no use to a caller who would be gone before its answer.
            var i = BitOperations.TrailingZeroCount(rest);
            open &= candidates[i].Lane is Lane.Async or Lane.Batch && quotes[i].ProbabilityInTime <= 0 ? ~(1UL << i) : ~0UL;
        }

        for (var start = (int)TrafficClass.Low - (int)trafficClass; start < Order.Length && kept == 0; start++)
        {
            kept = OfLane(candidates, open, Order[start]);
        }

        for (var rest = open & ~kept; rest != 0; rest &= rest - 1)
        {
            quotes[BitOperations.TrailingZeroCount(rest)].Dropped = DropReason.FixedRule;
        }

        feasible &= kept;
        unlikely &= kept;
    }

    private static ulong OfLane(ReadOnlySpan<Candidate> candidates, ulong set, Lane lane)
    {
        ulong kept = 0;
        for (; set != 0; set &= set - 1)
        {
            var i = BitOperations.TrailingZeroCount(set);
            kept |= candidates[i].Lane == lane ? 1UL << i : 0;
        }

        return kept;
    }
}
