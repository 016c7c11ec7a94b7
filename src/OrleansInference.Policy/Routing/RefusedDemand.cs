namespace OrleansInference.Routing;

/// <summary>
/// Which endpoint would have served a request that was turned away for its deadline, had it had more slots. Its capacity has to hear of it: a burst that is turned away
/// and told to nobody starts no instance, and is turned away to its end.
/// </summary>
public static class RefusedDemand
{
    /// <summary>
    /// Index of the candidate: the cheapest of the real-time ones whose service alone would have been in time, and that may still grow. Where one of those has all the instances
    /// that it may have, or none takes such requests, and the request may be a job, it is the cheapest of the async ones: without an instance they are never in time, and would
    /// never get one. -1 if there is none. A request that comes again counts again.
    /// </summary>
    /// <param name="table">The table by which it was decided.</param>
    /// <param name="request">The request.</param>
    /// <param name="sizeClass">Its size class.</param>
    /// <param name="quotes">The candidates' quotes, as the decision left them.</param>
    public static int CandidateOf(RoutingTable table, in RouteRequest request, int sizeClass, ReadOnlySpan<Quote> quotes)
    {
        ArgumentNullException.ThrowIfNull(table);
        var best = CheapestOf(table, request, sizeClass, quotes, Lane.Realtime, out var isOpen, out var isOneFull);
        return best >= 0 || !request.CanDefer || (isOpen && !isOneFull) ? best : CheapestOf(table, request, sizeClass, quotes, Lane.Async, out _, out _);
    }

    /// <summary>The cheapest of a lane that may grow; whether any of the lane takes such requests, and whether one that could have served this one may not grow.</summary>
    private static int CheapestOf(RoutingTable table, in RouteRequest request, int sizeClass, ReadOnlySpan<Quote> quotes, Lane lane, out bool isOpen, out bool isOneFull)
    {
        var (best, least) = (-1, double.PositiveInfinity);
        (isOpen, isOneFull) = (false, false);

        // What the lane takes in any case no number of instances takes away.
        var always = lane == Lane.Async ? table.Options.AsyncOverheadMs : 0;
        var withinMs = request.Deadline - request.Now - always;
        for (var i = 0; i < table.Candidates.Length; i++)
        {
            ref readonly var quote = ref quotes[i];
            var candidate = table.Candidates[i];
            isOpen |= candidate.Lane == lane && (quote.Dropped is DropReason.None or DropReason.Deadline or DropReason.ServiceTooLong);
            if (candidate.Lane != lane
                || quote.Dropped != DropReason.Deadline
                || quote.WaitMs - always + quote.ColdStartMs <= 0
                || candidate.Service(sizeClass).ProbabilityWithin(withinMs) < table.Snapshot.TargetProbability)
            {
                continue;
            }

            if (Math.Max(candidate.InService, candidate.Status?.Desired ?? 0) >= candidate.Endpoint.MaxInstances)
            {
                isOneFull = true;
            }
            else if (quote.ServiceMs * candidate.SlotMsCost < least)
            {
                (best, least) = (i, quote.ServiceMs * candidate.SlotMsCost);
            }
        }

        return best;
    }
}
