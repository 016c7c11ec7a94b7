using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

/// <summary>
/// What a quote is stated to be, by simulation and plain sums: the request waits for slots that come free, the endpoint
/// starts, the model serves. Probabilities come from drawn completions instead of convolution.
/// </summary>
internal sealed class SlowQuoter
{
    private const int Draws = 4000;

    private readonly RoutingCase _case;
    private readonly Candidate _candidate;
    private readonly CandidateLoad _load;
    private readonly int _sizeClass;
    private readonly TrafficClass _class;

    public SlowQuoter(RoutingCase given, Candidate candidate, TrafficClass trafficClass, int sizeClass)
    {
        (_case, _candidate, _sizeClass, _class) = (given, candidate, sizeClass, trafficClass);
        _load = given.Loads[candidate.Index];
        var endpoint = candidate.Endpoint;
        var status = candidate.Status;
        var perInstance = endpoint.ConcurrencyPerInstance;
        InService = status?.InService ?? endpoint.MinInstances;
        Coming = Math.Max(0, (status?.Desired ?? 0) - InService) * perInstance;
        MoreIn = Coming > 0 ? Math.Max(0, status!.MoreAt - given.Request.Now) : 0;
        Cold = InService <= 0;
        switch (candidate.Lane)
        {
            case Lane.Serverless:
                Slots = status is { Slots: > 0 } ? status.Slots : endpoint.MaxInstances;
                Cold = false;
                break;
            case Lane.Batch:
                Slots = endpoint.MaxInstances * perInstance;
                break;
            default:
                Slots = Cold ? Math.Max(Coming, perInstance) : Math.Max(1, status?.Slots ?? InService * perInstance);
                break;
        }

        var backlog = Math.Max(0, (status?.Backlog ?? 0) + _load.BacklogChange);
        Waiting = candidate.Lane switch
        {
            Lane.Serverless or Lane.Realtime => _load.Waiting,
            _ => Math.Max(_load.Waiting, backlog),
        };
        InFlight = Math.Max(status?.InFlight ?? 0, _load.InFlight);
        Ahead = SlotsToComeFree();
    }

    /// <summary>Slots it runs on, or will when the endpoint starts.</summary>
    public int Slots { get; }

    /// <summary>Of them those that are not kept busy by more urgent requests, which are taken to grow by their usual spread; at least a hundredth.</summary>
    public double Serving
    {
        get
        {
            var urgent = _load.InFlight == 0 ? 0 : InFlight * Math.Min(1.0, _load.InFlightUrgent / (double)_load.InFlight);
            if (_candidate.Status is { MeanHigh: { } high, MeanMedium: { } medium })
            {
                urgent = Math.Min(urgent, _class switch { TrafficClass.High => 0, TrafficClass.Medium => high, _ => high + medium });
            }

            return Math.Max(Slots / 100.0, Limit - urgent - Math.Sqrt(urgent));
        }
    }

    /// <summary>Instances in service.</summary>
    public int InService { get; }

    /// <summary>Slots that come with instances under way.</summary>
    public int Coming { get; }

    /// <summary>When they come, from now.</summary>
    public long MoreIn { get; }

    /// <summary>Whether nothing is in service.</summary>
    public bool Cold { get; }

    /// <summary>Requests that go first.</summary>
    public int Waiting { get; }

    /// <summary>Requests that run.</summary>
    public int InFlight { get; }

    /// <summary>How many slots must come free before this request has one; batch and cold endpoints have no such queue.</summary>
    public int Ahead { get; }

    /// <summary>The wait until as many slots came free, one after the other at the pace of the slots there are.</summary>
    public double MeanWait()
    {
        double now = 0;
        for (var i = 0; i < Ahead; i++)
        {
            // One departure takes service ÷ slots; what is left of it when more instances come goes faster from there.
            var left = 1.0;
            // What the more urgent occupy goes on to their like.
            var perMs = Serving / _candidate.Overall.Mean;
            if (MoreIn > 0 && now < MoreIn && _candidate.Lane != Lane.Serverless)
            {
                var untilMore = (MoreIn - now) * perMs;
                if (untilMore >= left)
                {
                    now += left / perMs;
                    continue;
                }

                (left, now) = (left - untilMore, MoreIn);
            }

            var pace = MoreIn > 0 && now >= MoreIn && _candidate.Lane != Lane.Serverless ? (Serving + Coming) / _candidate.Overall.Mean : perMs;
            now += left / pace;
        }

        return now;
    }

    /// <summary>The share of drawn completions by a limit, with the quote's own means: exponential departures, start, service.</summary>
    public (double Share, double Tolerance) Within(Quote quote, double limit, int seed)
    {
        var random = new Random(seed);
        var service = _candidate.Service(_sizeClass);
        var start = _candidate.ColdStart;
        var inTime = 0;
        for (var i = 0; i < Draws; i++)
        {
            var wait = quote.WaitMs;
            if (quote.WaitShape > 0 && quote.ColdStartMs <= 0)
            {
                wait = 0;
                for (var departure = 0; departure < Ahead; departure++)
                {
                    wait -= Math.Log(1 - random.NextDouble()) * quote.WaitMs / Ahead;
                }
            }

            var begun = quote.ColdStartMs <= 0 ? 0 : start.Mean > 0 ? start.Quantile(random.NextDouble()) * quote.ColdStartMs / start.Mean : quote.ColdStartMs;
            if (_load.ModelMissing && _candidate.Lane == Lane.Realtime && _candidate.ModelLoad.Mean > 0)
            {
                // Beside a wait that is drawn, it is a long one; a start is what is expected of it.
                begun = quote.WaitShape > 0 && quote.ColdStartMs <= 0
                    ? _candidate.ModelLoad.Quantile(0.95)
                    : quote.ColdStartMs + _candidate.ModelLoad.Quantile(random.NextDouble());
            }

            inTime += wait + begun + service.Quantile(random.NextDouble()) <= limit ? 1 : 0;
        }

        var share = (double)inTime / Draws;
        return (share, 4.5 * Math.Sqrt(((share * (1 - share)) + (1.0 / Draws)) / Draws));
    }

    private int Limit => _candidate.Lane == Lane.Realtime && _class != TrafficClass.High
        ? Math.Max(1, Slots - Math.Max(1, (int)Math.Ceiling(Math.Sqrt(Slots))))
        : Slots;

    private int SlotsToComeFree()
    {
        if (Cold || _candidate.Lane == Lane.Batch)
        {
            return 0;
        }

        // Line them up: who runs, who waits, then this one. It begins when so many have left that it fits beneath its limit: a lower class leaves the headroom, but always has one slot.
        var before = InFlight + Waiting;
        if (_load.Available > 0)
        {
            // Slots held on lease are free, whatever others are thought to use.
            before = Math.Min(before, Slots - _load.Available);
        }

        var ahead = 0;
        while (before - ahead + 1 > Limit && ahead < InFlight + Waiting)
        {
            ahead++;
        }

        return ahead;
    }
}
