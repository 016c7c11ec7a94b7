using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

/// <summary>
/// The rule of decisions as it is stated, one candidate after the other in lists. It takes the quotes' predictions as given
/// and says which candidates would be right; where the draw decides, there may be several.
/// </summary>
internal sealed class SlowRouter
{
    private readonly RoutingCase _case;
    private readonly Quote[] _quotes;

    public SlowRouter(RoutingCase given, Quote[] quotes, int sizeClass)
    {
        (_case, _quotes) = (given, quotes);
        var request = given.Request;
        Open = [.. given.Table.Candidates.Where(Passes)];
        Affordable = [.. Open.Where(c => request.MaxCharge is not { } most || quotes[c.Index].ChargeCap <= most)];
        Feasible = [.. Affordable.Where(c => quotes[c.Index].ProbabilityInTime >= given.Target
            && c.Service(sizeClass).ProbabilityWithin((long)(c.Endpoint.MaxServiceSeconds * 1000)) >= given.Target)];
        if (given.Tenant.Policy == RoutingPolicyKind.FixedRule)
        {
            Narrow();
        }

        if (Feasible.Count > 0)
        {
            Wanted = Cheapest(Feasible);
        }
        else if (request.Deadline > request.Now && (given.Tenant.Policy == RoutingPolicyKind.FixedRule ? Affordable
            : given.Tenant.BestEffort ? Affordable.Where(c => quotes[c.Index].ProbabilityInTime >= given.Tenant.BestEffortProbability).ToList()
            : []) is { Count: > 0 } sent)
        {
            ByLikelihood = true;
            Affordable = sent;
            Wanted = Likeliest(sent);
        }
        else if (given.Tenant.Policy != RoutingPolicyKind.FixedRule && request.Deadline > request.Now && Selection.Draw(request.Seed) % 16 == 0
            && Affordable.Where(c => c.Lane is Lane.Realtime or Lane.Serverless && quotes[c.Index].ProbabilityInTime >= 0.5
                && c.Service(sizeClass).ProbabilityWithin((long)(c.Endpoint.MaxServiceSeconds * 1000)) >= given.Target).ToList() is { Count: > 0 } probes)
        {
            (ByLikelihood, IsProbe) = (true, true);
            Affordable = probes;
            Wanted = Likeliest(probes);
        }
        else
        {
            Wanted = [];
        }
    }

    /// <summary>Candidates that no rule without prediction takes out.</summary>
    public List<Candidate> Open { get; }

    public List<Candidate> Affordable { get; private set; }

    public List<Candidate> Feasible { get; private set; }

    /// <summary>Any of these may be chosen if money does not matter.</summary>
    public List<Candidate> Wanted { get; }

    public bool ByLikelihood { get; }

    public bool IsProbe { get; }

    public TrafficClass Class => (TrafficClass)Math.Max((int)_case.Request.Class, (int)_case.Tenant.ClassCeiling);

    /// <summary>Whether an outcome is right. Where a draw decides what is wanted, any wanted candidate may be the one that steps begin from.</summary>
    public bool Allows(int chosen, LowBudgetStep? step)
    {
        if (Wanted.Count == 0)
        {
            return chosen < 0 && step is null;
        }

        if (_case.Tenant.MaxAffordableCap is not { } most)
        {
            return step is null && Wanted.Exists(c => c.Index == chosen);
        }

        return Wanted.Exists(wanted => _quotes[wanted.Index].ChargeCap <= most
            ? chosen == wanted.Index && step is null
            : Steps(wanted, most) is var (right, last) && step == last && (right.Count == 0 ? chosen < 0 : right.Exists(c => c.Index == chosen)));
    }

    /// <summary>The candidates that the tenant's low-budget policy leads to, and its last step.</summary>
    private (List<Candidate> Right, LowBudgetStep? Last) Steps(Candidate wanted, Money most)
    {
        var covered = (ByLikelihood ? Affordable : Feasible).Where(c => _quotes[c.Index].ChargeCap <= most).ToList();
        var allowed = new List<LowBudgetStep>();
        var steps = _case.Tenant.LowBudget.IsDefault ? [] : _case.Tenant.LowBudget.ToList();
        steps.Add(LowBudgetStep.Refuse);
        LowBudgetStep? last = null;
        while (true)
        {
            var permitted = covered.Where(c => (c.Lane == wanted.Lane || allowed.Contains(LowBudgetStep.CheaperLane))
                && (c.Quality >= wanted.Quality || allowed.Contains(LowBudgetStep.SmallerVariant))).ToList();
            if (permitted.Count > 0)
            {
                return (ByLikelihood ? Likeliest(permitted) : Cheapest(permitted), last);
            }

            last = steps[allowed.Count];
            if (last is LowBudgetStep.Hold or LowBudgetStep.Refuse)
            {
                return ([], last);
            }

            allowed.Add(last.Value);
        }
    }

    private bool Passes(Candidate c)
    {
        var (request, load) = (_case.Request, _case.Loads[c.Index]);
        var deferred = c.Lane is Lane.Async or Lane.Batch;
        return (request.Excluded >> c.Index & 1) == 0
            && !c.Endpoint.Draining
            && c.Status?.Healthy != false
            && !load.BreakerOpen
            && (request.LaneMask == 0 || (request.LaneMask >> (int)c.Lane & 1) == 1)
            && c.Quality >= request.MinQuality
            && (!request.Streaming || c.Endpoint.Streaming)
            && request.PayloadBytes <= c.Endpoint.MaxPayloadBytes
            && (!deferred || request.CanDefer || request.InlineWaitMs > 0)
            && c.Endpoint.MaxInstances > 0;
    }

    private void Narrow()
    {
        Lane[] order = Class switch
        {
            TrafficClass.High => [Lane.Realtime, Lane.Serverless],
            TrafficClass.Medium => [Lane.Async, Lane.Realtime, Lane.Serverless],
            _ => [Lane.Batch, Lane.Async, Lane.Realtime, Lane.Serverless],
        };
        Affordable = [.. Affordable.Where(c => _case.Request.CanDefer || c.Lane is Lane.Realtime or Lane.Serverless || Feasible.Contains(c) || _quotes[c.Index].ProbabilityInTime > 0)];
        var lane = order.Cast<Lane?>().FirstOrDefault(lane => Affordable.Exists(c => c.Lane == lane));
        Affordable = [.. Affordable.Where(c => c.Lane == lane)];
        Feasible = [.. Feasible.Where(c => c.Lane == lane)];
    }

    /// <summary>Least score within 2 %, then least charge within 2 %, then best quality; of more than two the most loaded is never taken.</summary>
    private List<Candidate> Cheapest(List<Candidate> from)
    {
        var best = from.MinBy(c => _quotes[c.Index].Score)!;
        var price = _quotes[best.Index].Score + (_quotes[best.Index].ServiceMs * best.SlotMsCost);
        var left = from.Where(c => _quotes[c.Index].Score <= _quotes[best.Index].Score + (0.02 * price) + 1).ToList();
        var charge = left.Min(c => _quotes[c.Index].ExpectedCharge.Nanos);
        left = [.. left.Where(c => _quotes[c.Index].ExpectedCharge.Nanos <= charge * 1.02)];
        var quality = left.Max(c => c.Quality);
        left = [.. left.Where(c => c.Quality >= quality)];
        var most = left.Max(c => _quotes[c.Index].Load);
        return left.Count > 1 && left.Count(c => _quotes[c.Index].Load == most) == 1 ? [.. left.Where(c => _quotes[c.Index].Load < most)] : left;
    }

    private List<Candidate> Likeliest(List<Candidate> from) =>
        [.. from.OrderByDescending(c => _quotes[c.Index].ProbabilityInTime).ThenBy(c => _quotes[c.Index].Score).ThenBy(c => c.Index).Take(1)];
}
