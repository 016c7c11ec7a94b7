using System.Globalization;

namespace OrleansInference.Capacity;

/// <summary>
/// How many of an endpoint's slots are used: fewer than there are while it throttles or its service time inflates. A share of the slots that shrinks by a
/// factor and grows by steps (additive increase, multiplicative decrease: Chiu, Jain 1989). The decrease on latency is the gradient of Netflix's
/// concurrency-limits (Gradient2Limit: the window's mean against a long-term average, with a tolerance, at most halved, not judged while less than half
/// the limit is in use); that on throttling is by the throttled part (as DCTCP does by the marked part: Alizadeh et al. 2010). A share, because
/// congestion is per instance: when instances come or go the limit follows at once.
/// </summary>
/// <remarks>
/// Service time varies with the input's size, so a longer mix must be told from inflation. Where what the sizes should take is known, only the ratio to that
/// is judged. Otherwise: a window is long enough to average over many calls; it counts as inflated only beyond three standard deviations
/// of what windows have varied by, and beyond half again the normal; two in a row are needed; and the test of the cause is the limit
/// itself: if service does not become shorter with half the concurrency, concurrency was not why, and the new time is the normal one.
/// Not thread-safe.
/// </remarks>
public sealed class AdaptiveLimit
{
    /// <summary>The least length of a window, in milliseconds: what is judged at a time.</summary>
    public const long WindowMs = 2_000;

    private const long MaxWindowMs = 20_000;
    private const long SparseWindowMs = 600_000;
    private const long MaxHoldMs = 60_000;
    private const int EnoughCalls = 50;
    private const int LeastCalls = 5;
    private const int LearntWindows = 5;
    private const int RememberedWindows = 40;
    private const double Tolerance = 1.5;
    private const double Deviations = 3;
    private const double Doubtful = 0.02;
    private const double Step = 0.05;
    private const double LeastCut = 0.1;

    // A trace of it says nothing about concurrency.
    private const double LeastThrottled = 0.01;
    private const double MostCut = 0.5;
    private const double Unusable = 0.1;

    private AdaptiveLimitState _state;

    /// <summary>Begins with all slots, or with what was stored.</summary>
    public AdaptiveLimit(AdaptiveLimitState? state = null)
    {
        var isUsable = state is not null && double.IsFinite(state.Baseline) && double.IsFinite(state.Variance) && double.IsFinite(state.InflatedTo) && state.Share is > 0 and <= 1;
        _state = isUsable ? state! : new();
    }

    /// <summary>The part of the slots that may be in use, above 0 and at most 1.</summary>
    public double Share => _state.Share;

    /// <summary>The service time that is normal, in milliseconds (or its ratio to what was expected); null before it has been learnt.</summary>
    public double? Baseline => _state.Windows < LearntWindows ? null : Math.Exp(_state.Baseline);

    /// <summary>Slots of so many that may be in use: at least 1 if there are any.</summary>
    public int Limit(int slots) => slots <= 0 ? 0 : Math.Clamp((int)((_state.Share * slots) + 1e-6), 1, slots);

    /// <summary>The limit as it is to be stored.</summary>
    public AdaptiveLimitState ToState() => _state;

    /// <summary>Takes a sample. One that is earlier than the last counts as of the same moment.</summary>
    public LimitDecision Observe(in LimitSample sample)
    {
        var before = _state.Share;
        var now = Math.Max(sample.Now, _state.WindowFrom);
        Add(sample, now);
        var elapsed = now - _state.WindowFrom;
        var isSparse = _state.Completions < LeastCalls && _state.MostInFlight > 0;
        if (elapsed >= WindowMs && (_state.Completions >= EnoughCalls || _state.Throttled > 0 || elapsed >= (isSparse ? SparseWindowMs : MaxWindowMs)))
        {
            Judge(now, Math.Max(1, sample.Slots));
            _state = _state with { WindowFrom = now, Completions = 0, Throttled = 0, Failed = 0, BusyMs = 0, ExpectedMs = 0, MostInFlight = 0 };
        }

        return new(Limit(sample.Slots), _state.Share != before, _state.Reason);
    }

    private void Add(in LimitSample sample, long now)
    {
        var completions = Math.Max(0, sample.Completions);
        _state = _state with
        {
            WindowFrom = _state.WindowFrom == 0 ? now : _state.WindowFrom,
            Completions = _state.Completions + completions,
            Throttled = _state.Throttled + Math.Clamp(sample.Throttled, 0, completions),
            Failed = _state.Failed + Math.Clamp(sample.Failed, 0, completions),
            BusyMs = _state.BusyMs + Math.Max(0, sample.BusyMs),
            ExpectedMs = _state.ExpectedMs + Math.Max(0, sample.ExpectedMs),
            MostInFlight = Math.Max(_state.MostInFlight, sample.InFlight),
        };
    }

    private void Judge(long now, int slots)
    {
        // Calls that were sent under a larger share say nothing about this one.
        var isHeld = now < _state.HoldUntil;
        var throttled = _state.Throttled / (double)Math.Max(1, _state.Completions);
        if (throttled >= LeastThrottled)
        {
            if (!isHeld)
            {
                Cut(Math.Clamp(throttled, LeastCut, MostCut), $"{Percent(throttled)} of the calls were throttled", now, slots);
            }

            return;
        }

        if (_state.Failed > Unusable * _state.Completions)
        {
            // Failures are quick or slow for reasons of their own; they are the circuit breaker's concern.
            return;
        }

        if (_state.Completions < LeastCalls || _state.BusyMs <= 0)
        {
            // Nothing speaks against more: what is known gets old. But if all calls are stuck, or none came to its end, that is waited for.
            if (_state.Completions == 0 ? _state.MostInFlight == 0 : _state.BusyMs > 0)
            {
                Grow(slots);
            }

            return;
        }

        var isRelative = _state.ExpectedMs > 0;
        if (isRelative != _state.IsRelative)
        {
            _state = _state with { IsRelative = isRelative, Windows = 0, Inflated = 0 };
        }

        var mean = Math.Log(_state.BusyMs / (double)(isRelative ? _state.ExpectedMs : _state.Completions));
        var tolerance = Math.Max(Math.Log(Tolerance), Deviations * Math.Sqrt(_state.Variance));
        if (_state.Windows < LearntWindows || mean - _state.Baseline <= tolerance)
        {
            Learn(mean);
            Grow(slots);
        }
        else if (!isHeld && _state.MostInFlight >= Limit(slots) / 2.0)
        {
            Inflate(mean, tolerance, now, slots);
        }
    }

    private void Learn(double mean)
    {
        // A plain average first, then an exponential one. While the limit is at work, it holds service just below what it tolerates: to take
        // that for normal would let the limit creep up with it, so it is learnt many times more slowly.
        var follow = 1.0 / Math.Min(_state.Windows + 1, RememberedWindows);
        var deviation = _state.Windows == 0 ? 0 : mean - _state.Baseline;
        follow *= deviation > 0 && _state.Share < 1 && _state.Windows >= LearntWindows ? Doubtful : 1;
        _state = _state with
        {
            Baseline = _state.Windows == 0 ? mean : _state.Baseline + (follow * deviation),
            Variance = _state.Windows == 0 ? 0 : _state.Variance + (follow * ((deviation * deviation) - _state.Variance)),
            Windows = Math.Min(_state.Windows + 1, RememberedWindows),
            Inflated = 0,
        };
    }

    private void Inflate(double mean, double tolerance, long now, int slots)
    {
        if (_state.Inflated == 0)
        {
            // One window may be chance.
            _state = _state with { Inflated = 1, InflatedTo = mean, InflatedAtShare = _state.Share };
            return;
        }

        // What is due to concurrency gets less with it: half of it, for half the concurrency, in proportion.
        var cutSoFar = _state.InflatedAtShare / _state.Share;
        if (cutSoFar >= 2 && mean > _state.InflatedTo - (0.3 * Math.Log(cutSoFar)))
        {
            _state = _state with { Windows = 0, Reason = $"service takes {Times(mean)} times as long whatever the concurrency: that is normal now" };
            Learn(mean);
            return;
        }

        if (Limit(slots) == 1)
        {
            // Less cannot be tried, so the cause cannot be found out by it.
            Learn(mean);
            return;
        }

        _state = _state with { Inflated = Math.Min(_state.Inflated + 1, RememberedWindows) };
        Cut(1 - Math.Max(1 - MostCut, Math.Exp(_state.Baseline + tolerance - mean)), $"service takes {Times(mean)} times as long as normal", now, slots);
    }

    private void Cut(double part, string reason, long now, int slots)
    {
        var share = Math.Max(1.0 / slots, Math.Min(_state.Share * (1 - part), Math.Max(1, Limit(slots) - 1) / (double)slots));
        var usual = _state.Windows > 0 && !_state.IsRelative ? Math.Exp(Math.Min(_state.Baseline, 20)) : WindowMs;
        _state = _state with
        {
            Share = Math.Min(_state.Share, share),
            HoldUntil = now + (long)Math.Clamp(2 * usual, WindowMs, MaxHoldMs),
            Reason = reason,
        };
    }

    private void Grow(int slots)
    {
        if (_state.Share < 1)
        {
            var share = Math.Min(1, _state.Share + Math.Max(Step, 1.0 / slots));
            _state = _state with { Share = share, Reason = share < 1 ? "all is well: more is tried" : "all is well" };
        }
    }

    private string Times(double mean) => Math.Exp(mean - _state.Baseline).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Percent(double part) => part.ToString("0.0 %", CultureInfo.InvariantCulture);
}
