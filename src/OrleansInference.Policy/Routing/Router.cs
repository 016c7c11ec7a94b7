using System.Numerics;

namespace OrleansInference.Routing;

/// <summary>
/// The decision: filter → quote → keep what meets the deadline at the target probability → least marginal cost + pacing ×
/// charge + congestion → ties by a seeded power of two choices. The fixed rule first narrows the lanes by class.
/// </summary>
public static class Router
{
    private const long UnavailableRetryMs = 2_000;

    /// <summary>Of so many requests that would be refused for the deadline alone one is sent all the same, if it is likelier than not to be in time: who gets no more requests could not show that it has become quicker.</summary>
    private const ulong ProbeOneOf = 16;

    private const double LeastProbeChance = 0.5;

    /// <summary>
    /// Decides where a request goes. A pure function of its arguments; allocates nothing.
    /// </summary>
    /// <param name="table">The model's routing table.</param>
    /// <param name="request">The request.</param>
    /// <param name="tenant">The tenant.</param>
    /// <param name="loads">What this silo knows of each candidate, by index; may be empty, then the snapshot alone counts.</param>
    /// <param name="quotes">Takes each candidate's quote, by index; at least as long as the table's candidates.</param>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public static Decision Decide(RoutingTable table, in RouteRequest request, in TenantRouting tenant, ReadOnlySpan<CandidateLoad> loads, Span<Quote> quotes)
    {
        ArgumentNullException.ThrowIfNull(table);
        var candidates = table.Candidates.AsSpan();
        if (quotes.Length < candidates.Length || (!loads.IsEmpty && loads.Length < candidates.Length))
        {
            throw new ArgumentException($"There are {candidates.Length} candidates; give as many quotes, and as many loads or none.");
        }

        quotes = quotes[..candidates.Length];
        var trafficClass = (TrafficClass)Math.Max((int)request.Class, (int)tenant.ClassCeiling);
        var sizeClass = table.SizeClassOf(request.InputTokens, request.MaxOutputTokens);
        var target = table.Snapshot.TargetProbability;
        ulong feasible = 0, unlikely = 0;
        for (var i = 0; i < candidates.Length; i++)
        {
            ref var quote = ref quotes[i];
            var load = loads.IsEmpty ? default : loads[i];
            quote = default;
            quote.Dropped = CandidateFilter.Apply(table.Options, candidates[i], request, load);
            if (quote.Dropped != DropReason.None)
            {
                continue;
            }

            Quoter.Fill(ref quote, table, candidates[i], request, load, trafficClass, sizeClass, tenant.Pacing);
            if (candidates[i].WithinLimit(sizeClass) < target)
            {
                quote.Dropped = DropReason.ServiceTooLong;
            }
            else if (quote.ProbabilityInTime < target)
            {
                quote.Dropped = DropReason.Deadline;
            }

            if (request.MaxCharge is { } most && quote.ChargeCap > most)
            {
                quote.Dropped = DropReason.ChargeAboveMax;
            }
            else if (quote.Dropped == DropReason.None)
            {
                feasible |= 1UL << i;
            }
            else
            {
                unlikely |= 1UL << i;
            }
        }

        var fixedRule = tenant.Policy == RoutingPolicyKind.FixedRule;
        if (fixedRule)
        {
            FixedRule.Narrow(candidates, quotes, request, trafficClass, ref feasible, ref unlikely);
        }

        if (request.Deadline <= request.Now)
        {
            // Nothing can be in time and every call would be cancelled at once: not even best effort makes sense.
            unlikely = 0;
        }

        var sent = feasible != 0 ? feasible : fixedRule ? unlikely : tenant.BestEffort ? AtLeast(tenant.BestEffortProbability, quotes, unlikely) : 0;
        var isProbe = false;
        if (sent == 0 && !fixedRule && Selection.Draw(request.Seed) % ProbeOneOf == 0)
        {
            sent = Probes(candidates, quotes, unlikely);
            isProbe = sent != 0;
        }

        var byLikelihood = feasible == 0;
        var budget = new BudgetedChoice(table, request, tenant, sent, byLikelihood);
        var chosen = budget.Choose(quotes);
        var decision = new Decision { Chosen = chosen, Class = trafficClass, TableVersion = table.Version, SizeClass = sizeClass };
        if (chosen >= 0)
        {
            return decision with
            {
                Outcome = isProbe ? DecisionOutcome.Probe : byLikelihood && !fixedRule ? DecisionOutcome.BestEffort : DecisionOutcome.Routed,
                ChargeCap = quotes[chosen].ChargeCap,
                LongestCallMs = quotes[chosen].LongestCallMs,
                ProbabilityInTime = quotes[chosen].ProbabilityInTime,
                LowBudget = budget.LastStep,
                IsDeferred = quotes[chosen].IsDeferred,
            };
        }

        var outcome = budget.IsShort ? DecisionOutcome.BudgetShort : OutcomeOf(quotes);
        return decision with
        {
            Outcome = outcome,
            LowBudget = budget.IsShort ? budget.LastStep : null,
            CapNeeded = budget.CapNeeded,
            Held = budget.Held,
            RetryAfterMs = outcome switch
            {
                DecisionOutcome.Unavailable => UnavailableRetryMs,
                DecisionOutcome.DeadlineUnreachable => RetryAfter(candidates, quotes, request, sizeClass, target),
                _ => 0,
            },
        };
    }

    /// <summary>Those of a set that are likely enough to be in time.</summary>
    private static ulong AtLeast(double probability, ReadOnlySpan<Quote> quotes, ulong set)
    {
        for (var rest = probability > 0 ? set : 0; rest != 0; rest &= rest - 1)
        {
            var i = BitOperations.TrailingZeroCount(rest);
            set &= quotes[i].ProbabilityInTime < probability ? ~(1UL << i) : ulong.MaxValue;
        }

        return set;
    }

    /// <summary>Those of a set that answer in line and are likelier than not to be in time.</summary>
    private static ulong Probes(ReadOnlySpan<Candidate> candidates, ReadOnlySpan<Quote> quotes, ulong set)
    {
        ulong probes = 0;
        for (; set != 0; set &= set - 1)
        {
            var i = BitOperations.TrailingZeroCount(set);
            var isOne = quotes[i].Dropped == DropReason.Deadline && quotes[i].ProbabilityInTime >= LeastProbeChance && candidates[i].Lane is Lane.Realtime or Lane.Serverless;
            probes |= isOne ? 1UL << i : 0;
        }

        return probes;
    }

    /// <summary>What a refusal is called: by the candidate that came furthest.</summary>
    private static DecisionOutcome OutcomeOf(ReadOnlySpan<Quote> quotes)
    {
        var outcome = DecisionOutcome.NoCandidate;
        foreach (ref readonly var quote in quotes)
        {
            switch (quote.Dropped)
            {
                case DropReason.Deadline or DropReason.ServiceTooLong:
                    return DecisionOutcome.DeadlineUnreachable;
                case DropReason.Excluded or DropReason.Draining or DropReason.Unhealthy:
                    outcome = DecisionOutcome.Unavailable;
                    break;
                case DropReason.Payload when outcome == DecisionOutcome.NoCandidate:
                    outcome = DecisionOutcome.PayloadTooLarge;
                    break;
                default:
                    break;
            }
        }

        return outcome;
    }

    /// <summary>When a wait that is now in the way will be over, for candidates whose service alone would make it.</summary>
    private static long RetryAfter(ReadOnlySpan<Candidate> candidates, ReadOnlySpan<Quote> quotes, in RouteRequest request, int sizeClass, double target)
    {
        var soonest = long.MaxValue;
        for (var i = 0; i < quotes.Length; i++)
        {
            // An async or batch lane's wait is part of it, and a serverless cold start comes with the call: neither passes.
            var passes = candidates[i].Lane switch
            {
                Lane.Realtime => quotes[i].WaitMs + quotes[i].ColdStartMs,
                Lane.Serverless => quotes[i].WaitMs,
                _ => 0,
            };
            if (quotes[i].Dropped == DropReason.Deadline
                && passes > 0
                && candidates[i].Service(sizeClass).ProbabilityWithin(request.Deadline - request.Now) >= target)
            {
                soonest = Math.Min(soonest, (long)Math.Ceiling(passes));
            }
        }

        return soonest == long.MaxValue ? 0 : soonest;
    }
}
