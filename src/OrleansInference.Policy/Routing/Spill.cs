namespace OrleansInference.Routing;

/// <summary>
/// Which real-time endpoints would have served a request cheaper than where it goes, had they had a slot. Their capacity has to hear of it: what spills over to the lanes that are billed by the call
/// is else no demand of theirs, and is paid for there for ever.
/// </summary>
public static class Spill
{
    /// <summary>Whether a request spills over from a candidate.</summary>
    /// <param name="candidate">A candidate that was not chosen.</param>
    /// <param name="quote">Its quote, as the decision left it.</param>
    /// <param name="chosen">The chosen candidate's quote.</param>
    public static bool IsFrom(Candidate candidate, in Quote quote, in Quote chosen)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        return candidate.Lane == Lane.Realtime
            && quote.Dropped is DropReason.CostsMore or DropReason.Deadline
            && quote.ServiceMs > 0
            && quote.ServiceMs * candidate.SlotMsCost < chosen.MarginalCost;
    }
}
