using FsCheck.Xunit;
using OrleansInference.Pricing;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class QuoterPropertyTests
{
    /// <summary>
    /// Convolution cuts wait and start into 13 parts and puts each at its upper end: a prediction is never above the truth by
    /// more than the interpolation, and below it by no more than the widest part.
    /// </summary>
    private const double MostPessimism = 0.15;

    private const double MostOptimism = 0.02;

    [Property(MaxTest = 3000)]
    public void The_wait_is_what_letting_one_after_the_other_leave_gives(int seed)
    {
        foreach (var (given, slow, candidate, quote) in Quoted(seed))
        {
            var options = given.Table.Options;
            var fixedWait = candidate.Lane switch
            {
                Lane.Async => options.AsyncOverheadMs,
                Lane.Batch => BatchWait(given, candidate),
                _ => 0,
            };
            var wait = slow.Cold && candidate.Lane is (Lane.Realtime or Lane.Async)
                ? slow.Waiting * candidate.Overall.Mean / slow.Slots
                : slow.MeanWait();
            Assert.True(Math.Abs(fixedWait + wait - quote.WaitMs) <= 1e-6 * (1 + quote.WaitMs), $"seed {seed}, {candidate.Endpoint.Name}: {fixedWait + wait} and {quote}");
            Assert.Equal(slow.Ahead, quote.WaitShape);
        }
    }

    [Property(MaxTest = 400)]
    public void The_probability_is_the_share_of_drawn_completions_and_rather_too_low(int seed)
    {
        foreach (var (given, slow, candidate, quote) in Quoted(seed))
        {
            var request = given.Request;
            var limit = request.Deadline - request.Now;
            if (candidate.Lane is Lane.Async or Lane.Batch && !request.CanDefer)
            {
                limit = Math.Min(limit, request.InlineWaitMs);
            }

            var (share, tolerance) = slow.Within(quote, limit, seed);
            var (uncut, other) = slow.Within(new() { WaitMs = 0 }, candidate.Endpoint.MaxServiceSeconds * 1000, seed);
            (share, tolerance) = uncut < share ? (uncut, other) : (share, tolerance);
            Assert.True(
                quote.ProbabilityInTime <= share + MostOptimism + tolerance && quote.ProbabilityInTime >= share - MostPessimism - tolerance,
                $"seed {seed}, {candidate.Endpoint.Name}: drawn {share} ± {tolerance}, quoted {quote.ProbabilityInTime}; limit {limit}, {quote}");
        }
    }

    [Property(MaxTest = 3000)]
    public void Charge_cost_and_score_are_what_their_definitions_add_up_to(int seed)
    {
        foreach (var (given, slow, candidate, quote) in Quoted(seed))
        {
            var (request, endpoint, options) = (given.Request, candidate.Endpoint, given.Table.Options);
            var second = given.Table.Snapshot.InstanceSecondCosts[endpoint.Name].Nanos;
            var slotMs = second / 1000.0 / (candidate.Lane == Lane.Serverless ? 1 : endpoint.ConcurrencyPerInstance);
            var longest = Math.Min(request.Deadline - request.Now, (long)(endpoint.MaxServiceSeconds * 1000));
            Assert.Equal(longest, quote.LongestCallMs);
            Assert.Equal(TariffCalculator.ChargeCap(candidate.Tariff, longest, request.InputTokens, request.MaxOutputTokens, request.PayloadBytes + endpoint.MaxPayloadBytes), quote.ChargeCap);

            var start = candidate.ColdStart.Mean;
            var instance = (start + options.IdleTailMs) * second / 1000.0;
            var oneMore = instance / Math.Min(slow.Waiting + 1, endpoint.ConcurrencyPerInstance);
            var cost = candidate.Lane switch
            {
                Lane.Serverless => ((quote.ServiceMs + quote.ColdStartMs) * slotMs) + (request.PayloadBytes * 0.016),
                Lane.Batch => (quote.ServiceMs * slotMs) + (Instances(given, candidate, start) * start * second / 1000.0 / Members(given, candidate)),
                Lane.Async when slow.Cold => (quote.ServiceMs * slotMs) + (slow.MoreIn > 0 && slow.Waiting < slow.Slots ? 0 : instance / (slow.Waiting + 1)),
                Lane.Async => (quote.ServiceMs * slotMs) + (slow.InFlight + slow.Waiting == 0 && slow.InService > endpoint.MinInstances ? options.IdleTailMs * second / 1000.0 : 0),
                _ when slow.Cold => slow.MoreIn > 0 && slow.Waiting < slow.Slots ? 0 : oneMore,
                _ when slow.Ahead == 0 || slow.Waiting < slow.Coming || slow.InService >= endpoint.MaxInstances => 0,
                _ => oneMore,
            };
            Near(cost, quote.MarginalCost);

            // Who takes a free slot delays nobody by more than its own time.
            var most = candidate.Lane == Lane.Realtime && slow is { Cold: false, Ahead: 0 } ? (quote.ServiceMs + quote.ModelLoadMs) * slotMs : double.PositiveInfinity;
            Assert.True(quote.CongestionPrice >= 0 && quote.CongestionPrice <= most * (1 + 1e-9), $"seed {seed}, {endpoint.Name}: {quote}");
            Near(quote.MarginalCost + (given.Tenant.Pacing * quote.ExpectedCharge.Nanos) + quote.CongestionPrice, quote.Score);

            void Near(double expected, double actual) =>
                Assert.True(Math.Abs(expected - actual) <= 1e-6 * (1 + Math.Abs(expected)), $"seed {seed}, {endpoint.Name}: {expected}, {actual}; {quote}");
        }
    }

    /// <summary>Every candidate of a case that was quoted, beside its slow model.</summary>
    private static IEnumerable<(RoutingCase Given, SlowQuoter Slow, Candidate Candidate, Quote Quote)> Quoted(int seed)
    {
        var given = new RoutingCase(seed);
        var (decision, quotes) = given.Decide();
        return given.Table.Candidates.Where(candidate => quotes[candidate.Index].LongestCallMs > 0)
            .Select(candidate => (given, new SlowQuoter(given, candidate, decision.Class, decision.SizeClass), candidate, quotes[candidate.Index]));
    }

    private static double Closes(RoutingCase given, Candidate candidate)
    {
        var (window, load) = (candidate.Endpoint.WindowMaxSeconds * 1000, given.Loads[candidate.Index]);
        return load.WindowClosesAt > given.Request.Now ? Math.Min(window, load.WindowClosesAt - given.Request.Now) : window;
    }

    /// <summary>The fewest instances on which a window's members are done by the request's deadline, all slots at work all the time.</summary>
    private static int Instances(RoutingCase given, Candidate candidate, double start)
    {
        var instances = 1;
        var begins = given.Request.Now + Closes(given, candidate) + start;
        while (instances < candidate.Endpoint.MaxInstances
            && begins + (Members(given, candidate) * candidate.Overall.Mean / (candidate.Endpoint.ConcurrencyPerInstance * instances)) > Math.Max(given.Request.Deadline, begins + 1))
        {
            instances++;
        }

        return instances;
    }

    private static double BatchWait(RoutingCase given, Candidate candidate)
    {
        var endpoint = candidate.Endpoint;
        var slots = endpoint.ConcurrencyPerInstance * Math.Max(1, endpoint.MaxInstances);
        var wait = Closes(given, candidate);
        for (var done = slots; done < Members(given, candidate); done += slots)
        {
            wait += candidate.Overall.Mean;
        }

        return wait;
    }

    private static int Members(RoutingCase given, Candidate candidate)
    {
        var known = Math.Max(given.Loads[candidate.Index].WindowMembers, candidate.Status?.Backlog ?? 0) + 1;
        return Math.Min(candidate.Endpoint.WindowMaxRequests, Math.Max(known, given.Table.Options.AssumedWindowMembers));
    }
}
