using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Bounds;

/// <summary>The work that a model's requests ask for, and the capacity that is billed whatever is done.</summary>
internal sealed class ModelWork
{
    private readonly ScenarioModel _model;
    private readonly bool _fullOnly;
    private readonly double _longest;
    private readonly Absorption _absorption = new();
    private readonly ServiceOption? _forced;
    private readonly int _forcedInstances;
    private double _nanos;

    public ModelWork(ScenarioModel model, bool fullOnly)
    {
        (_model, _fullOnly) = (model, fullOnly);
        _longest = model.Lanes.Max(static lane => lane.MaxServiceSeconds);
        if (model.LaneOf(Lane.Realtime) is { MinInstances: > 0 } lane)
        {
            _forced = ServiceOption.OnInstances(model.Variants[model.Full], lane);
            _forcedInstances = lane.MinInstances;
        }
    }

    public string Name => _model.Model;

    /// <summary>How a tenant's requests can be served.</summary>
    public TenantTerms TermsOf(ScenarioTenant tenant) => new(
        this,
        [.. ServiceOption.Of(_model, _fullOnly).Where(option => option.Quality >= tenant.MinQuality)],
        _forced is not null && _forced.Quality >= tenant.MinQuality);

    /// <summary>The model's part of the bound.</summary>
    /// <param name="lastUs">When the last request of all came.</param>
    /// <param name="allowance">What misses save, in nano-dollars.</param>
    public ModelBound Sum(long lastUs, double allowance)
    {
        var (forced, saving) = (0.0, 0.0);
        if (_forced is not null)
        {
            var slots = _forcedInstances * _model.Variants[_model.Full].Concurrency;
            var capacity = new List<double>();
            for (var from = 0L; from < lastUs; from += LowerBound.BinUs)
            {
                capacity.Add((double)slots * Math.Min(LowerBound.BinUs, lastUs - from));
            }

            forced = (double)slots * lastUs * _forced.NanosPerUs;
            saving = _absorption.Saving(capacity) * _forced.NanosPerUs;
        }

        return new(Name, LowerBound.AtMost(forced), LowerBound.AtMost(_nanos), Money.Min(LowerBound.AtLeast(saving), LowerBound.AtMost(_nanos)), LowerBound.AtLeast(allowance));
    }

    /// <summary>How a tenant's requests can be served.</summary>
    internal sealed class TenantTerms(ModelWork work, ServiceOption[] options, bool mayUseForced)
    {
        private readonly ScenarioVariant _full = work._model.Variants[work._model.Full];

        /// <summary>Adds a request: what it costs where it is cheapest, 0 if it can be answered nowhere in time, and null if it is not counted.</summary>
        public double? Add(in Arrival arrival, double slackSeconds)
        {
            var unloaded = _full.UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens);
            if (unloaded > work._longest)
            {
                return null;
            }

            var within = (long)((slackSeconds + (1.5 * unloaded)) * 1e6);
            var least = double.PositiveInfinity;
            foreach (var option in options)
            {
                var service = option.ServiceUs(arrival.InputTokens, arrival.OutputTokens, arrival.Jitter, within);
                least = service > 0 ? Math.Min(least, service * option.NanosPerUs) : least;
            }

            if (double.IsPositiveInfinity(least))
            {
                return 0;
            }

            work._nanos += least;
            if (mayUseForced && work._forced!.ServiceUs(arrival.InputTokens, arrival.OutputTokens, arrival.Jitter, within) is > 0 and var amount)
            {
                work._absorption.Add((int)(arrival.AtUs / LowerBound.BinUs), (int)((arrival.AtUs + within) / LowerBound.BinUs), amount, least / (amount * work._forced.NanosPerUs));
            }

            return least;
        }
    }
}
