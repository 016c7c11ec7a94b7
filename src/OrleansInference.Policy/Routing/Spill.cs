namespace OrleansInference.Routing;

/// <summary>
/// Which real-time endpoint would have served a request cheaper than where it goes, had it had a slot. Its capacity has to hear of it: what spills over to the lanes that are billed by the call
/// is else no demand of its, and is paid for there for ever.
/// </summary>
public static class Spill
{
    /// <summary>Index of the candidate that a request spills over from: the cheapest of those whose service alone would have been in time; -1 if there is none.</summary>
    /// <param name="table">The table by which it was decided.</param>
    /// <param name="request">The request.</param>
    /// <param name="decision">The decision; it has a route.</param>
    /// <param name="quotes">The candidates' quotes, as the decision left them.</param>
    public static int CandidateOf(RoutingTable table, in RouteRequest request, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        ArgumentNullException.ThrowIfNull(table);
        var (best, least) = (-1, quotes[decision.Chosen].MarginalCost);
        for (var i = 0; i < table.Candidates.Length && least > 0; i++)
        {
            ref readonly var quote = ref quotes[i];
            var candidate = table.Candidates[i];
            if (i != decision.Chosen
                && candidate.Lane == Lane.Realtime
                && quote.Dropped is DropReason.CostsMore or DropReason.Deadline or DropReason.LessLikely
                && quote.ServiceMs > 0
                && quote.WaitMs + quote.ColdStartMs + quote.ModelLoadMs > 0
                && quote.ServiceMs * candidate.SlotMsCost < least
                && candidate.WithinLimit(decision.SizeClass) >= table.Snapshot.TargetProbability
                && candidate.Service(decision.SizeClass).ProbabilityWithin(request.Deadline - request.Now) >= table.Snapshot.TargetProbability)
            {
                (best, least) = (i, quote.ServiceMs * candidate.SlotMsCost);
            }
        }

        return best;
    }
}
