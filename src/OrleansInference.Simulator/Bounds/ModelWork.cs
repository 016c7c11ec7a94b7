using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// What a model's requests ask for, and the capacity that is billed whatever is done. Requests are seen twice: first to learn what the idle slots are worth, then to
/// price each request.
/// </summary>
internal sealed class ModelWork
{
    private readonly ScenarioModel _model;
    private readonly bool _fullOnly;
    private readonly double _longest;
    private readonly IdlePrices _idle = new();
    private readonly ClassWork[] _classes = [.. Enum.GetValues<TrafficClass>().Select(static _ => new ClassWork())];
    private readonly ServiceOption? _forced;
    private readonly int _forcedSlots;
    private LeastInWindow? _prices;
    private double _forcedNanos;
    private double _idleNanos;
    private double _workNanos;
    private double _pricedNanos;

    public ModelWork(ScenarioModel model, bool fullOnly)
    {
        (_model, _fullOnly) = (model, fullOnly);
        _longest = model.Lanes.Max(static lane => lane.MaxServiceSeconds);
        if (model.LaneOf(Lane.Realtime) is { MinInstances: > 0 } lane)
        {
            var full = model.FullVariant;
            _forced = ServiceOption.OnInstances(full, lane);
            _forcedSlots = lane.MinInstances * full.Concurrency;
        }
    }

    public string Name => _model.Model;

    /// <summary>Whether something is billed whatever is done.</summary>
    public bool HasForced => _forced is not null;

    /// <summary>How a tenant's requests can be served.</summary>
    public TenantTerms TermsOf(ScenarioTenant tenant) => new(
        this,
        [.. ServiceOption.Of(_model, _fullOnly).Where(option => option.Quality >= tenant.MinQuality)],
        _forced is not null && _forced.Quality >= tenant.MinQuality);

    /// <summary>All requests have been seen once.</summary>
    /// <param name="lastUs">When the last request of all came.</param>
    public void Price(long lastUs)
    {
        if (_forced is null)
        {
            return;
        }

        var capacity = new List<double>();
        for (var from = 0L; from < lastUs; from += LowerBound.BinUs)
        {
            capacity.Add((double)_forcedSlots * Math.Min(LowerBound.BinUs, lastUs - from));
        }

        var prices = _idle.Of(capacity);
        _prices = new(prices);
        for (var bin = 0; bin < prices.Length; bin++)
        {
            _forcedNanos += capacity[bin] * _forced.NanosPerUs;
            _idleNanos += capacity[bin] * _forced.NanosPerUs * (1 - prices[bin]);
        }
    }

    /// <summary>The requests of a class.</summary>
    public ClassWork WorkOf(TrafficClass trafficClass) => _classes[(int)trafficClass];

    /// <summary>The model's part of the bound, after all requests have been seen twice.</summary>
    public ModelBound Sum()
    {
        var (forced, work) = (LowerBound.AtMost(_forcedNanos), LowerBound.AtMost(_workNanos));
        return new(Name, forced, work, forced + work - LowerBound.AtMost(_idleNanos + _pricedNanos)) { Classes = [.. _classes] };
    }

    /// <summary>How a tenant's requests can be served.</summary>
    internal sealed class TenantTerms(ModelWork work, ServiceOption[] options, bool mayUseForced)
    {
        private readonly ScenarioVariant _full = work._model.FullVariant;

        /// <summary>Whether the request is one that some lane can serve; others are not counted.</summary>
        public bool Counts(in Arrival arrival) => _full.UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens) <= work._longest;

        /// <summary>Sees a request for the first time.</summary>
        public void Learn(in Arrival arrival, double slackSeconds)
        {
            if (mayUseForced && Within(arrival, slackSeconds) is var within && Forced(arrival, within) is > 0 and var amount)
            {
                work._idle.Add(Bin(arrival.AtUs), Bin(arrival.AtUs + within), amount, Cheapest(arrival, within) / (amount * work._forced!.NanosPerUs));
            }
        }

        /// <summary>Sees a request for the second time: what must be spent on it at least, beside what is billed anyway; null if nobody can answer it in time.</summary>
        public double? Price(in Arrival arrival, double slackSeconds)
        {
            var within = Within(arrival, slackSeconds);
            var least = Cheapest(arrival, within);
            if (double.IsPositiveInfinity(least))
            {
                return null;
            }

            work._workNanos += least;
            if (mayUseForced && Forced(arrival, within) is > 0 and var amount)
            {
                least = Math.Min(least, amount * work._forced!.NanosPerUs * work._prices!.Of(Bin(arrival.AtUs), Bin(arrival.AtUs + within), 1));
            }

            work._pricedNanos += least;
            return least;
        }

        private static int Bin(long us) => (int)(us / LowerBound.BinUs);

        private long Within(in Arrival arrival, double slackSeconds) =>
            (long)((slackSeconds + (1.5 * _full.UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens))) * 1e6);

        private long Forced(in Arrival arrival, long within) => work._forced!.ServiceUs(arrival.InputTokens, arrival.OutputTokens, arrival.Jitter, within);

        private double Cheapest(in Arrival arrival, long within)
        {
            var least = double.PositiveInfinity;
            foreach (var option in options)
            {
                var service = option.ServiceUs(arrival.InputTokens, arrival.OutputTokens, arrival.Jitter, within);
                least = service > 0 ? Math.Min(least, service * option.NanosPerUs) : least;
            }

            return least;
        }
    }
}
