using System.Collections.Immutable;
using System.Globalization;

namespace OrleansInference.Routing;

/// <summary>Turns a decision and its quotes into words and numbers for people.</summary>
public static class Explainer
{
    private const int BisectionSteps = 60;

    /// <summary>The explanation of <paramref name="decision"/>, which <see cref="Router.Decide"/> made together with <paramref name="quotes"/> from the same arguments.</summary>
    public static Explanation Explain(RoutingTable table, in RouteRequest request, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes, TenantId tenantId, string? decisionId = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        var views = ImmutableArray.CreateBuilder<CandidateView>(table.Candidates.Length);
        foreach (var candidate in table.Candidates)
        {
            var quote = quotes[candidate.Index];
            var quoted = quote.LongestCallMs > 0;
            views.Add(new()
            {
                Variant = candidate.Variant,
                Endpoint = candidate.Endpoint.Name,
                Lane = candidate.Lane,
                Chosen = candidate.Index == decision.Chosen,
                Reason = candidate.Index == decision.Chosen ? WhyChosen(decision, tenant) : WhyNot(table, candidate, request, tenant, decision, quote),
                P50Seconds = quoted ? CompletionMs(candidate, decision.SizeClass, quote, 0.5) / 1000 : 0,
                P99Seconds = quoted ? CompletionMs(candidate, decision.SizeClass, quote, 0.99) / 1000 : 0,
                ProbabilityInTime = quote.ProbabilityInTime,
                ChargeCap = quote.ChargeCap,
                ExpectedCharge = quote.ExpectedCharge,
                MarginalCost = Money.FromNanos((long)Math.Ceiling(Math.Min(quote.MarginalCost, 9e18))),
                Score = quote.Score,
                WaitSeconds = quote.WaitMs / 1000,
                ColdStartSeconds = quote.ColdStartMs / 1000,
                ModelLoadSeconds = quote.ModelLoadMs / 1000,
                ServiceSeconds = quote.ServiceMs / 1000,
            });
        }

        var held = HeldOf(table, request, tenant, decision, quotes);
        return new()
        {
            DecisionId = decisionId,
            Tenant = tenantId,
            Model = table.Model,
            Class = decision.Class,
            DeadlineSeconds = (request.Deadline - request.Now) / 1000.0,
            SnapshotVersion = table.Version,
            Candidates = views.MoveToImmutable(),
            Problem = held is null ? ProblemOf(table, request, tenant, decision, quotes) : null,
            Held = held,
            Pacing = tenant.Pacing,
        };
    }

    /// <summary>That the request would be held as a job, and until when; null if it would not, or its money would come too late for its deadline.</summary>
    private static string? HeldOf(RoutingTable table, in RouteRequest request, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        if (decision.Held is not { } index)
        {
            return null;
        }

        var candidate = table.Candidates[index];
        var job = $"as a job of the {candidate.Lane} lane on {candidate.Endpoint.Name}";
        if (tenant.Shortage is not { } shortage || shortage.Amount != quotes[index].ChargeCap)
        {
            return $"would be held until the budget covers it, {job}";
        }

        if (shortage.Available >= shortage.Amount)
        {
            return $"would go on at once {job}, which the budget covers";
        }

        var served = (long)(candidate.Endpoint.Prior.ServiceP50Seconds * 1000);
        return shortage.RetryAfterMs <= 0 || shortage.RetryAfterMs >= request.Deadline - request.Now - served
            ? null
            : Invariant($"would be held until {DateTimeOffset.FromUnixTimeMilliseconds(request.Now + shortage.RetryAfterMs):yyyy-MM-dd'T'HH:mm:ss'Z'} {job}: {shortage.Reason}");
    }

    /// <summary>The refusal that a decision without a route means; null if it has one.</summary>
    public static InferenceProblem? ProblemOf(RoutingTable table, in RouteRequest request, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        ArgumentNullException.ThrowIfNull(table);
        if (decision.HasRoute)
        {
            return null;
        }

        // The account of another amount, or of an earlier moment, would give figures that do not belong together.
        var shortage = decision.Outcome == DecisionOutcome.BudgetShort && tenant.Shortage is { } known && (known.Amount == decision.CapNeeded || (decision.Held is { } job && known.Amount == quotes[job].ChargeCap)) ? known : null;
        var retryAfterMs = shortage?.RetryAfterMs ?? decision.RetryAfterMs;
        var model = table.Model;
        var (code, message) = decision.Outcome switch
        {
            DecisionOutcome.DeadlineUnreachable => (ProblemCode.DeadlineUnreachable, DeadlineMessage(table, request, tenant, decision, quotes)),
            DecisionOutcome.BudgetShort => (ProblemCode.BudgetExhausted, $"The budget does not cover the cheapest route of model {model} that meets the deadline and that the low-budget policy allows: {shortage?.Reason ?? $"{decision.CapNeeded} $ are needed, and more than {tenant.MaxAffordableCap} $ is not available"}. Raise the budget, wait until it frees, or allow cheaper lanes or variants in the low-budget policy."),
            DecisionOutcome.Unavailable => (ProblemCode.UpstreamUnavailable, $"No endpoint of model {model} can serve the request now: {Reasons(table, request, tenant, decision, quotes)}. Try again."),
            DecisionOutcome.PayloadTooLarge => (ProblemCode.PayloadTooLarge, $"The body of {request.PayloadBytes} bytes is larger than the {LargestPayload(table)} bytes that model {model} takes; send it by reference to the async lane or make it smaller."),
            _ => (ProblemCode.NoCandidate, $"No endpoint of model {model} satisfies the request: {Reasons(table, request, tenant, decision, quotes)}. Loosen the constraint that is named."),
        };
        return new()
        {
            Code = code,
            Message = message,
            RetryAfter = retryAfterMs > 0 ? TimeSpan.FromMilliseconds(retryAfterMs) : null,
        };
    }

    /// <summary>The quantile of a quote's completion in milliseconds from now.</summary>
    internal static double CompletionMs(Candidate candidate, int sizeClass, in Quote quote, double probability)
    {
        double low = 0, high = 1;
        while (Quoter.Within(candidate, sizeClass, quote, high) < probability && high < 1e12)
        {
            high *= 2;
        }

        for (var i = 0; i < BisectionSteps && high - low > 0.01; i++)
        {
            var middle = (low + high) / 2;
            if (Quoter.Within(candidate, sizeClass, quote, middle) < probability)
            {
                low = middle;
            }
            else
            {
                high = middle;
            }
        }

        return high;
    }

    private static string WhyChosen(in Decision decision, in TenantRouting tenant) => (decision.Outcome, decision.LowBudget) switch
    {
        (_, null) when tenant.Policy == RoutingPolicyKind.FixedRule => $"the fixed rule sends class {decision.Class} to this lane, or to the next more urgent one that the model has; whether it is in time was not asked",
        (DecisionOutcome.Probe, _) => "none is likely enough to be in time; one of a few that are sent to the likeliest all the same, to see whether it has become quicker",
        (DecisionOutcome.BestEffort, _) => "likeliest of those that may miss the deadline (best effort)",
        (_, LowBudgetStep.CheaperLane) => "least score that the budget covers, by a cheaper lane",
        (_, LowBudgetStep.SmallerVariant) => "least score that the budget covers, by a smaller variant",
        _ when decision.IsDeferred => "least marginal cost + pacing × charge + congestion of those in time: it waits for a slot that is free anyway",
        _ => "least marginal cost + pacing × charge + congestion of those in time",
    };

    private static string WhyNot(RoutingTable table, Candidate candidate, in RouteRequest request, in TenantRouting tenant, in Decision decision, in Quote quote)
    {
        var endpoint = candidate.Endpoint;
        return quote.Dropped switch
        {
            DropReason.Excluded => "was tried for this request before",
            DropReason.Draining => "is being drained",
            DropReason.Unhealthy => "has failed, or its breaker is open",
            DropReason.Lane when request.AsJob && candidate.Lane == Lane.Realtime => Invariant($"serves a job only when it has a slot to spare: not with servesDeferred: false in the catalog, and with a deadline at least {table.Options.DeferStarts} starts of an instance away"),
            DropReason.Lane => $"lane {candidate.Lane} is not allowed by the request",
            DropReason.FixedRule => $"the fixed rule sends class {decision.Class} to another lane",
            DropReason.Quality => Invariant($"quality {candidate.Quality} is below the floor {request.MinQuality}"),
            DropReason.Streaming => "cannot stream",
            DropReason.Payload => $"takes bodies up to {endpoint.MaxPayloadBytes} bytes, this one has {request.PayloadBytes}",
            DropReason.CannotDefer => $"lane {candidate.Lane} answers later and the caller takes no job",
            DropReason.NoCapacity => "may have no instance",
            DropReason.ChargeAboveMax => $"charge cap {quote.ChargeCap} $ is above the request's maximum of {request.MaxCharge} $",
            DropReason.ServiceTooLong => Invariant($"would run longer than the lane's {endpoint.MaxServiceSeconds} s with probability {1 - candidate.Service(decision.SizeClass).ProbabilityWithin(candidate.MaxServiceMs):0.###}"),
            DropReason.Deadline => Invariant($"in time with probability {quote.ProbabilityInTime:0.####}, target {table.Snapshot.TargetProbability}"),
            DropReason.Budget => $"charge cap {quote.ChargeCap} $ is above the {tenant.MaxAffordableCap} $ that the budget covers",
            DropReason.LowBudgetPolicy => "affordable, but the low-budget policy does not allow the change of lane or variant",
            DropReason.CostsMore when decision.HasRoute => "in time, at a higher score",
            DropReason.Tie => "as good as the chosen one; charge, quality, load or the draw decided",
            DropReason.LessLikely => Invariant($"in time with probability {quote.ProbabilityInTime:0.####} only"),
            _ => "not reached: nothing was chosen",
        };
    }

    private static string DeadlineMessage(RoutingTable table, in RouteRequest request, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        double best = 0;
        Candidate? closest = null;
        var others = new List<string>();
        foreach (var candidate in table.Candidates)
        {
            ref readonly var quote = ref quotes[candidate.Index];
            if (quote.Dropped is not (DropReason.Deadline or DropReason.ServiceTooLong))
            {
                others.Add($"{candidate.Endpoint.Name} {WhyNot(table, candidate, request, tenant, decision, quote)}");
            }
            else if (quote.ProbabilityInTime >= best)
            {
                best = quote.ProbabilityInTime;
                closest = candidate;
            }
        }

        var seconds = (request.Deadline - request.Now) / 1000.0;
        if (closest is { Lane: Lane.Async or Lane.Batch } && !request.CanDefer)
        {
            seconds = Math.Min(seconds, request.InlineWaitMs / 1000.0);
        }

        var remedies = (tenant.BestEffort, tenant.BestEffortProbability) switch
        {
            (false, _) => ", let it answer as a job, or allow best effort",
            (true, > 0) => ", let it answer as a job, or lower the tenant's bestEffortProbability",
            _ => ", or let it answer as a job",
        };
        var rest = others.Count == 0 ? "" : $" Of the others: {string.Join("; ", others)}.";
        return Invariant($"No endpoint of model {table.Model} answers within {seconds} s{(seconds < (request.Deadline - request.Now) / 1000.0 ? ", as long as an answer of a job's lane is waited for in line," : "")} with probability {table.Snapshot.TargetProbability}; the likeliest, {closest?.Endpoint.Name}, does with {Math.Floor(best * 10_000) / 10_000:0.####}.{rest} Give it more time{remedies}.");
    }

    private static string Reasons(RoutingTable table, in RouteRequest request, in TenantRouting tenant, in Decision decision, ReadOnlySpan<Quote> quotes)
    {
        var reasons = new List<string>(table.Candidates.Length);
        foreach (var candidate in table.Candidates)
        {
            reasons.Add($"{candidate.Endpoint.Name} {WhyNot(table, candidate, request, tenant, decision, quotes[candidate.Index])}");
        }

        return reasons.Count == 0 ? "it has none" : string.Join("; ", reasons);
    }

    private static long LargestPayload(RoutingTable table)
    {
        long largest = 0;
        foreach (var candidate in table.Candidates)
        {
            largest = Math.Max(largest, candidate.Endpoint.MaxPayloadBytes);
        }

        return largest;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
