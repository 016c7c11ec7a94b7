namespace OrleansInference.Routing;

/// <summary>
/// Which endpoint would have served a request that was turned away for its deadline, had it had more slots. Its capacity has to hear of it: a burst that is turned away
/// and told to nobody starts no instance, and is turned away to its end.
/// </summary>
public static class RefusedDemand
{
    /// <summary>
    /// Index of the candidate: the cheapest of the real-time ones whose service alone would have been in time, and that may still grow; where there is none and the request may be
    /// a job, of the async ones, which without an instance are never in time and would never get one. -1 if there is none. A request that comes again counts again.
    /// </summary>
    /// <param name="table">The table by which it was decided.</param>
    /// <param name="request">The request.</param>
    /// <param name="sizeClass">Its size class.</param>
    /// <param name="quotes">The candidates' quotes, as the decision left them.</param>
    public static int CandidateOf(RoutingTable table, in RouteRequest request, int sizeClass, ReadOnlySpan<Quote> quotes)
    {
        ArgumentNullException.ThrowIfNull(table);
        var best = CheapestOf(table, request, sizeClass, quotes, Lane.Realtime);
        return best < 0 && request.CanDefer ? CheapestOf(table, request, sizeClass, quotes, Lane.Async) : best;
    }

    private static int CheapestOf(RoutingTable table, in RouteRequest request, int sizeClass, ReadOnlySpan<Quote> quotes, Lane lane)
    {
        var (best, least) = (-1, double.PositiveInfinity);
        for (var i = 0; i < table.Candidates.Length; i++)
        {
            ref readonly var quote = ref quotes[i];
            var candidate = table.Candidates[i];
            if (candidate.Lane == lane
                && quote.Dropped == DropReason.Deadline
                && quote.WaitMs + quote.ColdStartMs > 0
                && quote.ServiceMs * candidate.SlotMsCost < least
                && Math.Max(candidate.InService, candidate.Status?.Desired ?? 0) < candidate.Endpoint.MaxInstances
                && candidate.Service(sizeClass).ProbabilityWithin(request.Deadline - request.Now) >= table.Snapshot.TargetProbability)
            {
                (best, least) = (i, quote.ServiceMs * candidate.SlotMsCost);
            }
        }

        return best;
    }
}
