namespace OrleansInference.Capacity;

/// <summary>What is expected at some moment.</summary>
/// <param name="Rate">Arrivals per second, the mean.</param>
/// <param name="HighRate">Arrivals per second that will hardly be exceeded: nine times in ten they are fewer.</param>
/// <param name="Dispersion">Variance over mean of the number of arrivals in a short time: 1 for Poisson arrivals, more for bursts.</param>
public readonly record struct ArrivalForecast(double Rate, double HighRate, double Dispersion)
{
    /// <summary>
    /// Variance over mean of the calls in progress were there slots for all: with exponential service half of the excess dispersion shows
    /// (Eckberg, Generalized peakedness of teletraffic processes, 1983).
    /// </summary>
    public double Peakedness => 1 + (0.5 * (Dispersion - 1));
}

/// <summary>
/// Forecasts the arrivals of an endpoint from their recent rate, its trend, the time of day and how bursty they are. The rate is an exponentially
/// weighted mean over a minute; what it is above the mean over a quarter of an hour is a trend, as far as chance does not explain it, which is expected to
/// go on but to tire (damped trend: Gardner, McKenzie, Forecasting trends in time series, 1985); what two observations running are above the minute is a burst that begins, as far as
/// chance does not explain it, and counts at once; <see cref="DaySeason"/> adds what the time of day
/// will change. The high forecast covers the uncertainty of the rate as its forecasts have missed so far. Burstiness is the index of
/// dispersion of counts (Cox, Lewis, The statistical analysis of series of events, 1966) about the rate of that time. Not thread-safe.
/// </summary>
public sealed class DemandForecast
{
    /// <summary>A longer time between two observations was not seen: nothing is concluded from it, in milliseconds.</summary>
    public const long GapMs = 120_000;

    private const double FastMs = 60_000;
    private const double SlowMs = 900_000;
    private const double MiddleMs = 240_000;
    private const double HourMs = 3_600_000;
    private const double PeakMs = 7_200_000;
    private const double TireMs = 600_000;
    private const double LeastSeenMs = 3_000;
    private const double ServiceFadeMs = 1_800_000;
    private const double CountFadeMs = 1_800_000;
    private const double LeastCountMs = 10_000;
    private const double MostCountMs = 60_000;
    private const double MaxDepartures = 5;
    private const double LeastWeight = 0.05;
    private const double PriorCounts = 5;
    private const double PriorEnded = 5;
    private const double MaxDispersion = 32;
    private const int MostPromises = 8;
    private const double ErrorFade = 0.995;
    private const double MaxError = 2;
    private const double DeviationOfMeanError = 1.2533;
    private const double ErrorsNeeded = 10;
    private const double MostLasting = 1.5;
    private const double Deviations = 1.2816;

    // Of a departure of so many deviations half is taken not to be chance.
    private const double Doubted = 3;

    private readonly DaySeason _season;
    private DemandForecastState _state;

    /// <summary>Begins with nothing seen, or with what was stored.</summary>
    public DemandForecast(DemandForecastState? state = null)
    {
        _state = state is not null && double.IsFinite(state.Fast + state.Slow + state.BusyMs + state.Ended + state.Squares + state.Counts + state.Errors + state.Middle + state.Peak + state.Last + state.Both + state.Hour + state.MiddleLoad + state.PeakLoad) ? state : new();
        _season = new(_state.Season);
    }

    /// <summary>Arrivals per second in the last minute or so.</summary>
    public double RecentRate => Over(_state.Fast, Math.Max(_state.FastWeight, 1 - Math.Exp(-LeastSeenMs / FastMs)));

    /// <summary>
    /// Arrivals per second now: those of the last minute, and what two observations running have above them, as far as that is more than chance. Of a burst the minute shows little as it begins; what comes all
    /// at once is none.
    /// </summary>
    public double PresentRate
    {
        get
        {
            var fast = RecentRate;
            var rise = _state.BothMs > 0 ? _state.Both - fast : 0;
            return rise <= 0 ? fast : fast + (rise * Significance(rise, Math.Max(fast, 1000 / FastMs), _state.BothMs / 1000.0));
        }
    }

    /// <summary>
    /// Calls in progress that there have been for long and that pause: they are likely to come again as they were. It fades within an hour and is little after a burst, or where the time of day says what is
    /// to be expected.
    /// </summary>
    public double LastingLoad => _state.Hour * (1 - Math.Clamp(_season.Skill, 0, 1));

    /// <summary>The highest rate over some minutes that was seen of late, in arrivals per second: it fades over hours, for bursts seldom come alone.</summary>
    public double PeakRate => _state.Peak;

    /// <summary>The most calls in progress over some minutes that there were of late; it fades as <see cref="PeakRate"/> does.</summary>
    public double PeakLoad => _state.PeakLoad;

    /// <summary>How far the time of day is taken into account, 0..1.</summary>
    public double SeasonSkill => _season.Skill;

    /// <summary>The forecast as it is to be stored.</summary>
    public DemandForecastState ToState() => _state with { Season = _season.ToState() };

    /// <summary>Takes what happened since the last observation; an earlier moment than that changes nothing.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="arrivals">Requests that arrived.</param>
    /// <param name="ended">Calls that ended having been served.</param>
    /// <param name="busyMs">Slot-milliseconds that they took.</param>
    public void Observe(long now, int arrivals, int ended, double busyMs)
    {
        var elapsed = now - _state.At;
        if (elapsed < 0 || (elapsed == 0 && _state.At != 0))
        {
            // Nothing can be told of the rate within an instant, but no arrival is lost.
            _state = _state with { Count = _state.Count + Math.Max(0, arrivals) };
            return;
        }

        var fade = Math.Exp(-elapsed / ServiceFadeMs);
        _state = _state with { BusyMs = (_state.BusyMs * fade) + Math.Max(0, busyMs), Ended = (_state.Ended * fade) + Math.Max(0, ended) };
        if (_state.At == 0 || elapsed > GapMs)
        {
            // What happened unseen is not known; what was known is known less, and is better than nothing.
            var (fast, slow) = (FadeUnseen(elapsed / FastMs, _state.FastWeight), FadeUnseen(elapsed / SlowMs, _state.SlowWeight));
            var (minutes, hours) = (Math.Exp(-elapsed / MiddleMs), Math.Exp(-elapsed / PeakMs));
            _state = _state with
            {
                Fast = _state.Fast * fast,
                FastWeight = _state.FastWeight * fast,
                Slow = _state.Slow * slow,
                SlowWeight = _state.SlowWeight * slow,
                LastMs = 0,
                BothMs = 0,
                Hour = _state.Hour * Math.Exp(-elapsed / HourMs),
                Middle = _state.Middle * minutes,
                Peak = _state.Peak * hours,
                MiddleLoad = _state.MiddleLoad * minutes,
                PeakLoad = _state.PeakLoad * hours,
                At = now,
                CountAt = now,
                Count = 0,
                Expected = -1,
                Promises = [],
            };
            return;
        }

        See(now, elapsed, Math.Max(0, arrivals), Math.Max(0, busyMs));
    }

    /// <summary>Mean service time in milliseconds: as measured, and as it was believed before where little was.</summary>
    /// <param name="prior">What is believed.</param>
    /// <param name="underWay">Calls that have not ended but whose time so far is counted.</param>
    public double ServiceMs(LatencyPrior prior, int underWay = 0)
    {
        ArgumentNullException.ThrowIfNull(prior);

        // The mean of a lognormal distribution with that median and that 99th percentile.
        var sigma = Math.Log(Math.Max(1, prior.ServiceP99Seconds / Math.Max(1e-6, prior.ServiceP50Seconds))) / Latency.NormalDistribution.Z99;
        var believed = 1000 * Math.Max(1e-6, prior.ServiceP50Seconds) * Math.Exp(Math.Min(4, 0.5 * sigma * sigma));
        return ((PriorEnded * believed) + _state.BusyMs) / (PriorEnded + _state.Ended + Math.Max(0, underWay));
    }

    /// <summary>What is expected some time from the last observation on.</summary>
    /// <param name="horizonMs">The time in milliseconds, not negative.</param>
    /// <param name="countsBurst">Whether a burst that begins counts (<see cref="PresentRate"/>); else it does as the last minute shows it.</param>
    public ArrivalForecast At(long horizonMs, bool countsBurst = true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(horizonMs);
        var burst = countsBurst ? PresentRate - RecentRate : 0;
        var rate = MeanAt(horizonMs, burst);
        var dispersion = Dispersion;
        var seenSeconds = SeenSeconds(FastMs, _state.FastWeight);
        var relative = _state.Tried >= ErrorsNeeded ? DeviationOfMeanError * _state.Errors / _state.Tried : 0;

        // Where nothing ever came, nothing says that anything will: what does come first is served by what the operator keeps at least.
        var next = Mean > 0 ? 1 / seenSeconds : 0;
        var variance = seenSeconds <= 0 ? 0 : Math.Max(dispersion * (RecentRate + burst + next) / seenSeconds, Square(relative * Math.Max(Mean, 1000 / FastMs)));
        return new(rate, rate + (Deviations * Math.Sqrt(variance)), dispersion);
    }

    private double Dispersion
    {
        get
        {
            // The rate that a count is compared with was itself measured over a short time: its own variance is not the counts'.
            var measured = 1 + (CountMs / (2 * FastMs));
            return Math.Clamp((_state.Squares + (PriorCounts * measured)) / ((_state.Counts + PriorCounts) * measured), 1, MaxDispersion);
        }
    }

    // What counts for the calls in progress is how many come within a service time or two; slower changes are changes of the rate.
    private double CountMs => _state.Ended < PriorEnded ? LeastCountMs : Math.Clamp(2 * _state.BusyMs / _state.Ended, LeastCountMs, MostCountMs);

    private double Mean => Over(_state.Slow, Math.Max(_state.SlowWeight, 1 - Math.Exp(-LeastSeenMs / SlowMs)));

    // A burst shows no trend: it is there, or will have gone as others have.
    private double MeanAt(long horizonMs, double burst)
    {
        var (fast, mean, lasting) = (RecentRate, Mean, Lasting(horizonMs));
        return _season.At(_state.At, _state.At + horizonMs, fast + burst, Math.Max(0, mean + (lasting * (fast - mean)) + (Math.Min(1, lasting) * burst)));
    }

    /// <summary>
    /// What of the present departure from the mean will be left after the horizon: as it was of late (regression of what came on what departed), and before that is
    /// known all of it and, if it is more than chance, the trend that it shows.
    /// </summary>
    private double Lasting(long horizonMs)
    {
        var seenSeconds = SeenSeconds(FastMs, _state.FastWeight);
        if (_state.SlowWeight < 0.5 || seenSeconds <= 0)
        {
            return 1;
        }

        // On a steady rise a mean lags behind by its own time constant.
        var (fast, mean) = (RecentRate, Mean);
        var trend = 1 + (Significance(fast - mean, Math.Max(fast, mean), seenSeconds) * (FastMs + (TireMs * (1 - Math.Exp(-horizonMs / TireMs)))) / (SlowMs - FastMs));
        var known = _state.Departed <= 0 ? 0 : _state.Tried / (_state.Tried + ErrorsNeeded);
        return trend + (known * (Math.Clamp(_state.Departed <= 0 ? 1 : _state.Lasting / _state.Departed, 0, MostLasting) - trend));
    }

    /// <summary>How much of a departure is not chance, 0..1, where so many seconds of a rate were counted.</summary>
    private double Significance(double departure, double rate, double seenSeconds)
    {
        var square = Square(departure);
        return square <= 0 ? 0 : square / (square + (Square(Doubted) * Dispersion * rate / seenSeconds));
    }

    private void See(long now, long elapsed, int arrivals, double busyMs)
    {
        var perSecond = arrivals * 1000.0 / elapsed;
        var (fast, slow, hour) = (Math.Exp(-elapsed / FastMs), Math.Exp(-elapsed / SlowMs), Math.Exp(-elapsed / HourMs));
        _season.Observe(_state.At, now, arrivals);
        var (minutes, hours) = (Math.Exp(-elapsed / MiddleMs), Math.Exp(-elapsed / PeakMs));
        var (middle, load) = ((_state.Middle * minutes) + (perSecond * (1 - minutes)), (_state.MiddleLoad * minutes) + (busyMs / elapsed * (1 - minutes)));
        _state = _state with
        {
            Middle = middle,
            Peak = Math.Max(middle, _state.Peak * hours),
            MiddleLoad = load,
            PeakLoad = Math.Max(load, _state.PeakLoad * hours),
            At = now,
            Last = perSecond,
            LastMs = elapsed,
            Both = Math.Min(perSecond, _state.Last),
            BothMs = _state.LastMs == 0 ? 0 : elapsed + _state.LastMs,
            Hour = (_state.Hour * hour) + (busyMs / elapsed * (1 - hour)),
            Fast = (_state.Fast * fast) + (perSecond * (1 - fast)),
            FastWeight = (_state.FastWeight * fast) + 1 - fast,
            Slow = (_state.Slow * slow) + (perSecond * (1 - slow)),
            SlowWeight = (_state.SlowWeight * slow) + 1 - slow,
            Count = _state.Count + arrivals,
        };
        if (now - _state.CountAt >= CountMs)
        {
            CountUp(now);
        }
    }

    private void CountUp(long now)
    {
        var span = now - _state.CountAt;
        if (_state.Expected >= 0)
        {
            var expected = _state.Expected * span / 1000;
            var fade = Math.Exp(-span / CountFadeMs);
            var departure = _state.Count - expected;

            // A departure beyond all bounds is a change of the rate, not a burst.
            var square = Math.Min(departure * departure, MaxDepartures * MaxDepartures * Dispersion * Math.Max(1, expected));
            _state = _state with { Squares = (_state.Squares * fade) + square, Counts = (_state.Counts * fade) + expected };
        }

        _state = _state with { CountAt = now, Count = 0, Expected = _state.FastWeight >= 0.5 ? RecentRate : -1 };
    }

    /// <summary>Remembers what is forecast now for that horizon, and learns from the forecasts whose time has come.</summary>
    internal void Promise(long horizonMs)
    {
        var promises = _state.Promises;
        while (promises.Count > 0 && promises[0].Due <= _state.At)
        {
            Learn(promises[0]);
            promises = [.. promises.Skip(1)];
        }

        var spacing = Math.Max(1, horizonMs / MostPromises);
        if (_state.SlowWeight >= 0.5 && promises.Count < MostPromises && (promises.Count == 0 || promises[^1].Due + spacing <= _state.At + horizonMs))
        {
            promises = [.. promises, new() { Due = _state.At + Math.Max(1, horizonMs), Fast = RecentRate, Slow = Mean, Rate = MeanAt(horizonMs, burst: 0) }];
        }

        _state = _state with { Promises = promises };
    }

    private void Learn(ForecastPromise promise)
    {
        // A single arrival in the minute is the least that can be told apart.
        var scale = Math.Max(promise.Slow, 1000 / FastMs);
        var (departed, came) = ((promise.Fast - promise.Slow) / scale, (RecentRate - promise.Slow) / scale);
        _state = _state with
        {
            Errors = (_state.Errors * ErrorFade) + Math.Min(MaxError, Math.Abs(RecentRate - promise.Rate) / scale),
            Tried = (_state.Tried * ErrorFade) + 1,
            Lasting = (_state.Lasting * ErrorFade) + (departed * Math.Clamp(came, -1, MaxError)),
            Departed = (_state.Departed * ErrorFade) + (departed * departed),
        };
    }

    private static double FadeUnseen(double times, double weight) => weight <= LeastWeight ? 1 : Math.Max(Math.Exp(-times), LeastWeight / weight);

    private static double Square(double value) => value * value;

    private static double Over(double sum, double weight) => weight > 0 ? sum / weight : 0;

    // Seconds of plain counting that would tell a rate as well as the weighted mean does. A first instant tells nothing: as if a few seconds had been seen.
    private static double SeenSeconds(double fadeMs, double weight) => weight <= 0 ? 0 : Math.Max(LeastSeenMs / 1000, fadeMs / 1000 * 2 * weight / (2 - Math.Min(1, weight)));
}
