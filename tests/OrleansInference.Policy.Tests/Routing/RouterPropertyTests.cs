using FsCheck.Xunit;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class RouterPropertyTests
{
    [Property(MaxTest = 5000)]
    public void The_decision_is_the_one_that_the_stated_rule_gives(int seed)
    {
        var given = new RoutingCase(seed);

        var (decision, quotes) = given.Decide();

        var slow = new SlowRouter(given, quotes, decision.SizeClass);
        Assert.True(slow.Allows(decision.Chosen, decision.LowBudget), $"seed {seed}: {decision}");
        Assert.Equal(slow.Class, decision.Class);
        Assert.Equal(seed, decision.TableVersion);
        if (decision.HasRoute)
        {
            Assert.Equal(slow.IsProbe ? DecisionOutcome.Probe : slow.ByLikelihood && given.Tenant.Policy == RoutingPolicyKind.CheapestInTime ? DecisionOutcome.BestEffort : DecisionOutcome.Routed, decision.Outcome);
            Assert.Equal(quotes[decision.Chosen].ChargeCap, decision.ChargeCap);
            Assert.Equal(quotes[decision.Chosen].ProbabilityInTime, decision.ProbabilityInTime);
            Assert.True(decision.LongestCallMs <= given.Request.Deadline - given.Request.Now, $"seed {seed}: the call may outlast the deadline");
        }
        else
        {
            Assert.Equal(slow.Wanted.Count > 0, decision.Outcome == DecisionOutcome.BudgetShort);
        }
    }

    [Property(MaxTest = 5000)]
    public void No_infeasible_candidate_is_chosen_while_a_feasible_one_exists(int seed)
    {
        var given = new RoutingCase(seed);

        var (decision, quotes) = given.Decide();

        var slow = new SlowRouter(given, quotes, decision.SizeClass);
        if (decision.HasRoute && slow.Feasible.Count > 0)
        {
            Assert.Contains(slow.Feasible, c => c.Index == decision.Chosen);
            Assert.True(quotes[decision.Chosen].ProbabilityInTime >= given.Target);
        }
    }

    [Property(MaxTest = 2000)]
    public void What_is_chosen_is_within_every_limit_of_the_request_and_the_budget(int seed)
    {
        var given = new RoutingCase(seed);

        var decision = given.Decide().Decision;

        if (!decision.HasRoute)
        {
            return;
        }

        var chosen = given.Table.Candidates[decision.Chosen];
        Assert.True(given.Request.MaxCharge is not { } most || decision.ChargeCap <= most);
        Assert.True(given.Tenant.MaxAffordableCap is not { } cap || decision.ChargeCap <= cap);
        Assert.True(chosen.Quality >= given.Request.MinQuality);
        Assert.True(given.Request.PayloadBytes <= chosen.Endpoint.MaxPayloadBytes);
        Assert.True(!given.Request.Streaming || chosen.Endpoint.Streaming);
    }

    [Property(MaxTest = 2000)]
    public void A_decision_depends_on_nothing_but_its_arguments(int seed)
    {
        var given = new RoutingCase(seed);
        var (decision, quotes) = given.Decide();

        // A second, equal set of arguments; scratch space that was used before; another thread.
        var again = new RoutingCase(seed);
        var scratch = new RoutingCase(seed + 1, extraEndpoints: 20).Decide().Quotes;
        var second = default(Decision);
        var thread = new Thread(() => second = Router.Decide(again.Table, again.Request, again.Tenant, again.Loads, scratch));
        thread.Start();
        thread.Join();

        Assert.Equal(decision, second);
        Assert.Equal(quotes, scratch[..quotes.Length]);
    }

    [Property(MaxTest = 2000)]
    public void One_more_candidate_changes_no_other_quote_and_never_raises_the_least_score(int seed)
    {
        var few = new RoutingCase(seed) { Tenant = default };
        var more = new RoutingCase(seed, extraEndpoints: 1) { Tenant = default };

        var (fewer, before) = few.Decide();
        var (_, after) = more.Decide();

        for (var i = 0; i < before.Length; i++)
        {
            Assert.Equal(before[i] with { Dropped = default }, after[i] with { Dropped = default });
        }

        var least = Least(few, before, fewer.SizeClass);
        Assert.True(Least(more, after, fewer.SizeClass) <= least, $"seed {seed}");

        static double Least(RoutingCase given, Quote[] quotes, int sizeClass) =>
            new SlowRouter(given, quotes, sizeClass).Feasible.Select(c => quotes[c.Index].Score).DefaultIfEmpty(double.PositiveInfinity).Min();
    }

    [Property(MaxTest = 2000)]
    public void No_use_within_the_quoted_bounds_is_charged_more_than_the_cap(int seed)
    {
        var given = new RoutingCase(seed);
        var (decision, quotes) = given.Decide();
        var random = new Random(seed);
        foreach (var candidate in given.Table.Candidates)
        {
            var quote = quotes[candidate.Index];
            if (quote.LongestCallMs <= 0)
            {
                continue;
            }

            Assert.True(quote.ExpectedCharge <= quote.ChargeCap);
            var use = new Use
            {
                SlotMilliseconds = random.NextInt64(quote.LongestCallMs + 1),
                Requests = 1,
                InputTokens = given.Request.InputTokens,
                OutputTokens = random.Next(given.Request.MaxOutputTokens + 1),
                Bytes = given.Request.PayloadBytes + random.NextInt64(candidate.Endpoint.MaxPayloadBytes + 1),
            };
            Assert.True(TariffCalculator.Charge(candidate.Tariff, use) <= quote.ChargeCap, $"seed {seed}: {use} on {candidate.Endpoint.Name}, {decision}");
        }
    }

    [Property(MaxTest = 2000)]
    public void An_explanation_names_every_candidate_with_a_reason_and_every_refusal_with_a_remedy(int seed)
    {
        var given = new RoutingCase(seed);
        var (decision, quotes) = given.Decide();

        var explanation = Explainer.Explain(given.Table, given.Request, given.Tenant, decision, quotes, new("t"), "d-1");

        Assert.Equal(given.Table.Candidates.Select(c => c.Endpoint.Name), explanation.Candidates.Select(c => c.Endpoint));
        Assert.Equal(decision.HasRoute ? 1 : 0, explanation.Candidates.Count(c => c.Chosen));
        Assert.All(explanation.Candidates, view => Assert.False(string.IsNullOrWhiteSpace(view.Reason)));

        // A request is routed, refused, or held until there is money for it.
        Assert.True(explanation.Held is null || decision.Held is not null, $"seed {seed}: {decision}");
        Assert.Equal(decision.HasRoute || explanation.Held is not null, explanation.Problem is null);
        Assert.Equal("d-1", explanation.DecisionId);
        foreach (var (view, quote) in explanation.Candidates.Zip(quotes))
        {
            Assert.True(view.P50Seconds <= view.P99Seconds, $"seed {seed}: {view}");
            Assert.True(view.Chosen == (quote.Dropped == DropReason.None), $"seed {seed}: {view}; {quote}; {decision}");
            Assert.True(!decision.HasRoute || !view.Reason.StartsWith("not reached", StringComparison.Ordinal), $"seed {seed}: {view}");
            Assert.Equal((quote.ChargeCap, quote.ExpectedCharge, quote.ProbabilityInTime), (view.ChargeCap, view.ExpectedCharge, view.ProbabilityInTime));
            Assert.InRange(view.MarginalCost.Nanos - quote.MarginalCost, 0, 1);

            // The score shown is the sum of the parts shown, the congestion price being the rest.
            var rest = view.Score - quote.MarginalCost - (explanation.Pacing * view.ExpectedCharge.Nanos);
            Assert.True(Math.Abs(rest - quote.CongestionPrice) <= 1e-6 * (1 + view.Score), $"seed {seed}: {view}");
        }

        if (explanation.Problem is { } problem)
        {
            Assert.False(string.IsNullOrWhiteSpace(problem.Message));
            Assert.True(decision.RetryAfterMs > 0 == problem.RetryAfter is not null, $"seed {seed}: {problem}; {decision}");
        }
    }

    [Property(MaxTest = 1000)]
    public void A_kept_decision_can_be_replayed_and_explained_later(int seed)
    {
        var given = new RoutingCase(seed);
        var (decision, quotes) = given.Decide();
        var record = new DecisionRecord("d-1", new("t"), given.Table, given.Request, given.Tenant, given.Loads, decision);
        Array.Clear(given.Loads);

        Assert.Equal(decision, record.Replay());
        Assert.True(record.Explain().Replayed);
        Assert.Equal(
            Explainer.Explain(given.Table, given.Request, given.Tenant, decision, quotes, new("t")).Candidates.Select(c => c.Reason),
            record.Explain().Candidates.Select(c => c.Reason));
    }

    [Fact]
    public void The_cases_reach_every_outcome_lane_and_reason()
    {
        var decided = Enumerable.Range(0, 5000).Select(seed => new RoutingCase(seed).Decide()).ToList();

        Assert.Equal(Enum.GetValues<DecisionOutcome>(), decided.Select(d => d.Decision.Outcome).Distinct().Order());
        Assert.Equal(Enum.GetValues<DropReason>(), decided.SelectMany(d => d.Quotes).Select(q => q.Dropped).Distinct().Order());
        Assert.All(Enum.GetValues<LowBudgetStep>(), step => Assert.Contains(decided, d => d.Decision.LowBudget == step));
        Assert.Contains(decided, d => d.Decision.RetryAfterMs > 0);
    }

    [Fact]
    public void Deciding_allocates_nothing()
    {
        var cases = Enumerable.Range(0, 200).Select(seed => new RoutingCase(seed)).ToList();
        var quotes = new Quote[RoutingTable.MaxCandidates];
        var routed = 0;
        DecideAll();

        var before = GC.GetAllocatedBytesForCurrentThread();
        DecideAll();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(0, allocated);
        Assert.True(routed > 100);

        void DecideAll()
        {
            for (var i = 0; i < cases.Count; i++)
            {
                routed += Router.Decide(cases[i].Table, cases[i].Request, cases[i].Tenant, cases[i].Loads, quotes).HasRoute ? 1 : 0;
            }
        }
    }
}
