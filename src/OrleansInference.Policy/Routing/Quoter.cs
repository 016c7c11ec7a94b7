using OrleansInference.Batch;
using OrleansInference.Pricing;
using OrleansInference.Queueing;

namespace OrleansInference.Routing;

/// <summary>
/// Predicts a candidate's completion, charge and marginal cost. A quote depends on its own candidate only, so that one
/// more candidate never makes another dearer.
/// </summary>
internal static class Quoter
{
    /// <summary>Share of the slots that a class is served by however many the more urgent have, so that its wait stays finite.</summary>
    private const double LeastServingShare = 0.01;

    /// <summary>Share of the slots that deferred work has in the long run however many the more urgent take now: they do not do so day and night.</summary>
    private const double LeastDeferredShare = 0.25;

    public static void Fill(ref Quote quote, RoutingTable table, Candidate candidate, in RouteRequest request, in CandidateLoad load, TrafficClass trafficClass, int sizeClass, double pacing)
    {
        var toDeadline = request.Deadline - request.Now;
        var service = candidate.Service(sizeClass);
        quote.ServiceMs = service.Mean;
        switch (candidate.Lane)
        {
            case Lane.Realtime:
                quote.ModelLoadMs = load.ModelMissing ? candidate.ModelLoad.Mean : 0;
                OnInstances(ref quote, table.Options, candidate, request, load, trafficClass);
                break;
            case Lane.Serverless:
                Serverless(ref quote, table, candidate, request, load, trafficClass);
                break;
            case Lane.Async:
                OnInstances(ref quote, table.Options, candidate, request, load, trafficClass);
                quote.WaitMs += table.Options.AsyncOverheadMs;
                break;
            default:
                Batch(ref quote, table.Options, candidate, request, load);
                break;
        }

        var limit = toDeadline;
        if ((quote.IsDeferred || candidate.Lane is Lane.Async or Lane.Batch) && !request.CanDefer)
        {
            limit = Math.Min(limit, request.InlineWaitMs);
        }

        // Both must hold: done by the deadline, and not cut off by the lane's own limit.
        quote.ProbabilityInTime = limit <= 0
            ? 0
            : Math.Min(
                Within(candidate, sizeClass, quote, limit),
                quote.ModelLoadMs > 0 ? service.ProbabilityWithin(candidate.MaxServiceMs, 0, candidate.ModelLoad, 1) : candidate.WithinLimit(sizeClass));
        quote.LongestCallMs = Math.Max(0, Math.Min(toDeadline, candidate.MaxServiceMs));
        Charges(ref quote, table.Options, candidate, request);
        quote.Score = quote.MarginalCost + (pacing * quote.ExpectedCharge.Nanos) + quote.CongestionPrice;
    }

    /// <summary>P(completion ≤ <paramref name="milliseconds"/> from now) of a quote.</summary>
    public static double Within(Candidate candidate, int sizeClass, in Quote quote, double milliseconds)
    {
        var service = candidate.Service(sizeClass);
        if (quote.ModelLoadMs > 0)
        {
            // A wait of uncertain length and a load of uncertain length: the load is taken to be a long one.
            return quote is { WaitShape: > 0, ColdStartMs: <= 0 }
                ? service.ProbabilityWithin(milliseconds - candidate.LongModelLoadMs, quote.WaitMs, quote.WaitShape)
                : service.ProbabilityWithin(milliseconds, quote.WaitMs + quote.ColdStartMs, candidate.ModelLoad, 1);
        }

        if (quote.ColdStartMs > 0)
        {
            // The expected start may be nearer than a whole cold start (instances already coming): its spread shrinks along.
            var mean = candidate.ColdStart.Mean;
            return mean > 0
                ? service.ProbabilityWithin(milliseconds, quote.WaitMs, candidate.ColdStart, quote.ColdStartMs / mean)
                : service.ProbabilityWithin(milliseconds - quote.WaitMs - quote.ColdStartMs);
        }

        return quote.WaitShape > 0
            ? service.ProbabilityWithin(milliseconds, quote.WaitMs, quote.WaitShape)
            : service.ProbabilityWithin(milliseconds - quote.WaitMs);
    }

    private static void OnInstances(ref Quote quote, RoutingOptions options, Candidate candidate, in RouteRequest request, in CandidateLoad load, TrafficClass trafficClass)
    {
        var inFlight = Math.Max(candidate.InFlight, load.InFlight);

        // A burst of jobs is decided faster than their backlog is published: what this silo sent meanwhile is ahead, too.
        var backlog = Math.Max(0, candidate.Backlog + load.BacklogChange);
        // Who waits for a real-time slot is known by the endpoint's queue, with whose turn would come before this one's.
        var waiting = candidate.Lane == Lane.Realtime ? load.Waiting : Math.Max(load.Waiting, backlog);
        var moreIn = candidate.SlotsComing > 0 && candidate.Status!.MoreAt > request.Now ? candidate.Status.MoreAt - request.Now : 0;
        var reserved = Math.Max(0, candidate.Slots - candidate.SlotsFor(trafficClass));
        var free = candidate.InService <= 0 ? 0 : Free(candidate, load, inFlight, waiting) - reserved;
        var share = candidate.Lane == Lane.Async ? quote.ServiceMs * candidate.SlotMsCost : 0;
        if (MayDefer(options, candidate, request, load)
            && (request.AsJob || free <= 0 || candidate.Congestion((double)(inFlight + waiting + 1) / candidate.Slots) > 1 - options.ValleyShare))
        {
            Defer(ref quote, options, candidate, load.DeferredWorkMs!.Value);
            return;
        }

        if (candidate.InService <= 0)
        {
            var slots = Math.Max(candidate.SlotsComing, candidate.Endpoint.ConcurrencyPerInstance);
            quote.ColdStartMs = moreIn > 0 ? moreIn : candidate.ColdStart.Mean;
            quote.WaitMs = (load.WaitingWorkMs > 0 ? load.WaitingWorkMs : waiting * candidate.Overall.Mean) / slots;
            quote.Load = (double)(inFlight + waiting + 1) / slots;
            quote.MarginalCost = share + (moreIn > 0 && waiting < slots ? 0 : NewInstance(options, candidate, waiting));
            return;
        }

        quote.Load = (double)(inFlight + waiting + 1) / candidate.Slots;
        if (free <= 0)
        {
            Queue(ref quote, candidate, ServingSlots(candidate, load, inFlight, trafficClass), ahead: Math.Min(1 - free, inFlight + waiting), moreIn, load.WaitingWorkMs);
        }

        if (candidate.Lane == Lane.Realtime)
        {
            // Who takes a free slot is in nobody's way but of one who comes meanwhile, and at most for its own time: else the last slot of a small endpoint would stay idle beside a lane that is billed by the call.
            quote.CongestionPrice = (quote.ServiceMs + quote.ModelLoadMs) * candidate.SlotMsCost * Math.Min(candidate.Congestion(quote.Load), free > 0 ? 1 : double.PositiveInfinity);

            // A free slot is paid for, busy or idle. Beyond that, the next instance is this request's doing, unless it
            // fits what is coming anyway or the operator allows no more.
            quote.MarginalCost = free > 0 || waiting < candidate.SlotsComing || candidate.InService >= candidate.Endpoint.MaxInstances
                ? 0
                : NewInstance(options, candidate, waiting);
            if (free <= 0 && load.DeferredWorkMs is not null && quote.WaitMs <= options.PatientShare * (request.Deadline - request.Now - quote.ServiceMs))
            {
                // Who can well wait for its turn hurries nobody, where instances follow the work that waits: it takes its time of a slot, and no more.
                quote.MarginalCost = Math.Min(quote.MarginalCost, quote.ServiceMs * candidate.SlotMsCost * (1 - options.ValleyShare));
                quote.CongestionPrice = 0;
            }
        }
        else
        {
            // Instances above the least that have nothing to do are about to go: who comes now keeps one.
            quote.MarginalCost = share + (inFlight + waiting > 0 || candidate.InService <= candidate.Endpoint.MinInstances ? 0 : options.IdleTailMs * candidate.InstanceMsCost);
        }
    }

    /// <summary>Whether a request may wait for a slot of the candidate that is free anyway.</summary>
    public static bool MayDefer(RoutingOptions options, Candidate candidate, in RouteRequest request, in CandidateLoad load) =>
        load.DeferredWorkMs is not null
        && (request.CanDefer || request.AsJob)
        && request.Deadline - request.Now - candidate.Overall.Mean >= options.DeferStarts * candidate.ColdStart.Mean
        && DeferredTurns.LastBegin(request.Deadline, (int)Math.Min(int.MaxValue, candidate.Overall.Mean)) - request.Now >= DeferredTurns.MarginMs(candidate.Endpoint.Prior.ColdStartSeconds);

    /// <summary>
    /// Behind all that is deferred already, on the slots that the operator allows and that neither what is more urgent goes on taking nor are kept free for it; it costs its share of a
    /// slot, as far as none is idle meanwhile.
    /// </summary>
    private static void Defer(ref Quote quote, RoutingOptions options, Candidate candidate, long work)
    {
        var most = (double)candidate.Endpoint.MaxInstances * Math.Max(1, candidate.Endpoint.ConcurrencyPerInstance);
        quote.IsDeferred = true;
        quote.ColdStartMs = candidate.ColdStart.Mean;
        var urgent = candidate.Status is { MeanHigh: { } high, MeanMedium: { } medium } ? high + medium : 0;
        quote.WaitMs = work / Math.Max(most - urgent - Math.Max(candidate.Status?.Headroom ?? 0, Math.Sqrt(urgent)), Math.Max(1, LeastDeferredShare * most));
        quote.Load = 1;
        quote.MarginalCost = quote.ServiceMs * candidate.SlotMsCost * (1 - options.ValleyShare);
    }

    /// <summary>Slots free for one more request; negative by as many as wait. What is held on lease is free whatever the snapshot says.</summary>
    private static int Free(Candidate candidate, in CandidateLoad load, int inFlight, int waiting)
    {
        var left = candidate.Slots - inFlight - waiting;
        return load.Available > 0 ? Math.Max(load.Available, left) : left;
    }

    /// <summary>
    /// Slots that the request's class is served by in the long run. More urgent arrivals overtake those who wait, and go on taking as many slots
    /// as they have now, and now and then by their square root more: in a queue with priorities the wait grows by 1 ÷ (1 - their utilisation)
    /// (Cobham, Operations Research 2, 1954), and there are as many of them as a Poisson variable has.
    /// </summary>
    private static double ServingSlots(Candidate candidate, in CandidateLoad load, int inFlight, TrafficClass trafficClass)
    {
        var urgent = load.InFlight > 0 ? Math.Min(1, (double)load.InFlightUrgent / load.InFlight) * inFlight : 0;

        // A burst that has them all at this moment does not go on having them.
        if (candidate.Status is { MeanHigh: { } high, MeanMedium: { } medium })
        {
            urgent = Math.Min(urgent, trafficClass == TrafficClass.High ? 0 : trafficClass == TrafficClass.Medium ? high : high + medium);
        }

        return Math.Max(Math.Min(candidate.Slots, candidate.SlotsFor(trafficClass)) - urgent - Math.Sqrt(urgent), LeastServingShare * candidate.Slots);
    }

    /// <summary>The wait for <paramref name="ahead"/> of the busy slots to come free, sooner if more instances come.</summary>
    private static void Queue(ref Quote quote, Candidate candidate, double slots, int ahead, long moreIn, long work = 0)
    {
        if (ahead <= 0)
        {
            return;
        }

        // Where it is known what those ahead take, that counts, and beside them one slot has to come free.
        var service = work > 0 ? (work + candidate.Overall.Mean) / ahead : candidate.Overall.Mean;
        var wait = ahead * service / slots;
        if (moreIn > 0 && wait > moreIn)
        {
            var left = ahead - (moreIn * slots / service);
            wait = moreIn + (left * service / (slots + candidate.SlotsComing));
        }

        quote.WaitMs = wait;
        quote.WaitShape = ahead;
    }

    /// <summary>Start and expected idle tail of one more instance, shared by those who wait for it.</summary>
    private static double NewInstance(RoutingOptions options, Candidate candidate, int waiting)
    {
        var sharers = candidate.Lane == Lane.Async ? waiting + 1 : Math.Min(waiting + 1, Math.Max(1, candidate.Endpoint.ConcurrencyPerInstance));
        return (candidate.ColdStart.Mean + options.IdleTailMs) * candidate.InstanceMsCost / sharers;
    }

    private static void Serverless(ref Quote quote, RoutingTable table, Candidate candidate, in RouteRequest request, in CandidateLoad load, TrafficClass trafficClass)
    {
        var inFlight = Math.Max(candidate.InFlight, load.InFlight);
        var free = Free(candidate, load, inFlight, load.Waiting);
        quote.ColdStartMs = load.WarmEnvironments > 0 || inFlight < candidate.InService || free <= 0 ? 0 : candidate.ColdStart.Mean;
        quote.Load = (double)(inFlight + load.Waiting + 1) / candidate.Slots;
        if (free <= 0)
        {
            Queue(ref quote, candidate, ServingSlots(candidate, load, inFlight, trafficClass), ahead: Math.Min(1 - free, inFlight + load.Waiting), moreIn: 0);
        }

        // Memory is billed while the environment starts, too.
        quote.MarginalCost = ((quote.ServiceMs + quote.ColdStartMs) * candidate.InstanceMsCost) + (request.PayloadBytes * table.ServerlessByteCost);
        quote.CongestionPrice = quote.ServiceMs * candidate.SlotMsCost * candidate.Congestion(quote.Load);
    }

    /// <summary>
    /// A window closes, its job starts, and its members run in waves, on as many instances as the endpoint allows if they have to. It has the fewest that its deadlines let it have, and
    /// pays as many starts. A window may close sooner for a tight deadline; a quote does not count on it, for then fewer members share the start.
    /// </summary>
    private static void Batch(ref Quote quote, RoutingOptions options, Candidate candidate, in RouteRequest request, in CandidateLoad load)
    {
        var endpoint = candidate.Endpoint;
        var longest = endpoint.WindowMaxSeconds * 1000;
        var known = Math.Max(load.WindowMembers, candidate.Backlog) + 1;
        var most = WindowLimits.MostMembersOf(endpoint);
        var members = Math.Max(1, Math.Min(most, Math.Max(known, options.AssumedWindowMembers)));
        var perInstance = Math.Max(1, endpoint.ConcurrencyPerInstance);
        var mostInstances = Math.Max(1, endpoint.MaxInstances);
        var waves = Math.Ceiling(members / ((double)perInstance * mostInstances));
        var open = load.WindowClosesAt > request.Now ? Math.Min(longest, load.WindowClosesAt - request.Now) : longest;
        quote.WaitMs = open + ((waves - 1) * candidate.Overall.Mean);
        quote.ColdStartMs = candidate.ColdStart.Mean;
        quote.Load = (double)known / most;
        var left = Math.Max(1, request.Deadline - request.Now - open - candidate.ColdStart.Mean);
        var instances = Math.Clamp(Math.Ceiling(members * candidate.Overall.Mean / (perInstance * left)), 1, mostInstances);
        quote.MarginalCost = (quote.ServiceMs * candidate.SlotMsCost) + (instances * candidate.ColdStart.Mean * candidate.InstanceMsCost / members);
    }

    private static void Charges(ref Quote quote, RoutingOptions options, Candidate candidate, in RouteRequest request)
    {
        // The answer is bounded by the lane's payload limit, as the request is.
        var mostBytes = request.PayloadBytes + candidate.Endpoint.MaxPayloadBytes;
        quote.ChargeCap = TariffCalculator.ChargeCap(candidate.Tariff, quote.LongestCallMs, request.InputTokens, request.MaxOutputTokens, mostBytes);
        var expected = new Use
        {
            SlotMilliseconds = Math.Min(quote.LongestCallMs, (long)Math.Ceiling(quote.ServiceMs + quote.ModelLoadMs)),
            Requests = 1,
            InputTokens = request.InputTokens,
            OutputTokens = (long)Math.Ceiling(request.MaxOutputTokens * options.ExpectedOutputShare),
            Bytes = request.PayloadBytes,
        };
        quote.ExpectedCharge = TariffCalculator.Charge(candidate.Tariff, expected, quote.ChargeCap);
    }
}
