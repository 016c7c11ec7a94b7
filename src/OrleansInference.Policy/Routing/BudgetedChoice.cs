using System.Numerics;

namespace OrleansInference.Routing;

/// <summary>
/// Chooses from a set, and when the budget does not cover the choice, gives up what the tenant's low-budget policy allows,
/// in its order: until a step permits it, a request keeps its lane and does not fall below the choice's quality.
/// </summary>
internal ref struct BudgetedChoice(RoutingTable table, in RouteRequest request, in TenantRouting tenant, ulong set, bool byLikelihood)
{
    private readonly RoutingTable _table = table;
    private readonly TenantRouting _tenant = tenant;
    private readonly ulong _seed = request.Seed;
    private readonly bool _canDefer = request.CanDefer;

    /// <summary>Whether there was a choice, but none that is affordable and permitted.</summary>
    public bool IsShort { get; private set; }

    /// <summary>The step that made the choice affordable, or the one to take when it is not.</summary>
    public LowBudgetStep? LastStep { get; private set; }

    /// <summary>When short: the smallest charge cap that would have done.</summary>
    public Money CapNeeded { get; private set; }

    /// <summary>When short and to be held: the index of the candidate that the job is for; null if it can be none.</summary>
    public int? Held { get; private set; }

    /// <summary>The chosen index or -1; marks why the others lost.</summary>
    public int Choose(Span<Quote> quotes)
    {
        var wanted = Pick(quotes, set);
        if (wanted < 0)
        {
            return -1;
        }

        if (_tenant.MaxAffordableCap is not { } affordable || quotes[wanted].ChargeCap <= affordable)
        {
            return Mark(quotes, set, 0, wanted);
        }

        ulong covered = 0;
        for (var rest = set; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            covered |= quotes[i].ChargeCap <= affordable ? 1UL << i : 0;
        }

        var chosen = TakeSteps(quotes, covered, wanted, out var permitted);
        IsShort = chosen < 0;

        for (var rest = set & ~covered; rest != 0; rest &= rest - 1)
        {
            quotes[BitOperations.TrailingZeroCount(rest)].Dropped = DropReason.Budget;
        }

        return Mark(quotes, permitted, covered & ~permitted, chosen);
    }

    private int TakeSteps(ReadOnlySpan<Quote> quotes, ulong covered, int wanted, out ulong permitted)
    {
        bool otherLane = false, smaller = false;
        LastStep = null;
        permitted = Permitted(covered, wanted, otherLane, smaller);
        var steps = _tenant.LowBudget.IsDefault ? [] : _tenant.LowBudget.AsSpan();
        for (var next = 0; permitted == 0; next++)
        {
            LastStep = next < steps.Length ? steps[next] : LowBudgetStep.Refuse;
            if (LastStep is LowBudgetStep.Hold or LowBudgetStep.Refuse)
            {
                // Of what the steps so far allow, which the budget covers none of.
                CapNeeded = Least(quotes, Permitted(set, wanted, otherLane, smaller));
                Held = LastStep == LowBudgetStep.Hold && _canDefer ? ToHold(quotes, wanted, smaller) : null;
                return -1;
            }

            otherLane |= LastStep == LowBudgetStep.CheaperLane;
            smaller |= LastStep == LowBudgetStep.SmallerVariant;
            permitted = Permitted(covered, wanted, otherLane, smaller);
        }

        return Pick(quotes, permitted);
    }

    // Who waits for money waits as a job, whatever the lane was; the quality is kept as by every other step.
    private readonly int? ToHold(ReadOnlySpan<Quote> quotes, int wanted, bool smaller)
    {
        ulong jobs = 0;
        for (var rest = Permitted(set, wanted, otherLane: true, smaller); rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            jobs |= _table.Candidates[i].Lane is Lane.Async or Lane.Batch ? 1UL << i : 0;
        }

        return jobs == 0 ? null : Pick(quotes, jobs);
    }

    private readonly ulong Permitted(ulong covered, int wanted, bool otherLane, bool smaller)
    {
        ulong permitted = 0;
        var best = _table.Candidates[wanted];
        for (; covered != 0; covered &= covered - 1)
        {
            var i = BitOperations.TrailingZeroCount(covered);
            var candidate = _table.Candidates[i];
            permitted |= (otherLane || candidate.Lane == best.Lane) && (smaller || candidate.Quality >= best.Quality) ? 1UL << i : 0;
        }

        return permitted;
    }

    private static Money Least(ReadOnlySpan<Quote> quotes, ulong from)
    {
        var least = Money.MaxValue;
        for (; from != 0; from &= from - 1)
        {
            least = Money.Min(least, quotes[BitOperations.TrailingZeroCount(from)].ChargeCap);
        }

        return least;
    }

    private readonly int Pick(ReadOnlySpan<Quote> quotes, ulong from) => byLikelihood
        ? Selection.Likeliest(quotes, from)
        : Selection.BreakTie(_table, quotes, Selection.Cheapest(_table, quotes, from), _seed);

    private readonly int Mark(Span<Quote> quotes, ulong losers, ulong notPermitted, int chosen)
    {
        var ties = byLikelihood ? 0 : Selection.Cheapest(_table, quotes, losers);
        for (var rest = losers; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            quotes[i].Dropped = byLikelihood ? DropReason.LessLikely : (ties & (1UL << i)) != 0 ? DropReason.Tie : DropReason.CostsMore;
        }

        for (var rest = notPermitted; rest != 0; rest &= rest - 1)
        {
            quotes[BitOperations.TrailingZeroCount(rest)].Dropped = DropReason.LowBudgetPolicy;
        }

        if (chosen >= 0)
        {
            quotes[chosen].Dropped = DropReason.None;
        }

        return chosen;
    }
}
