using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>A <see cref="DaySeason"/> as it is stored.</summary>
public sealed record DaySeasonState
{
    /// <summary>Arrivals per second by slot of the day, as learned; empty before the first slot has ended.</summary>
    [JsonPropertyName("rates")] public IReadOnlyList<float> Rates { get; init; } = [];

    /// <summary>Days from which each slot was learned, 0..7.</summary>
    [JsonPropertyName("days")] public IReadOnlyList<int> Days { get; init; } = [];

    /// <summary>The slot that is under way, counted from the Unix epoch; 0 before the first.</summary>
    [JsonPropertyName("slot")] public long Slot { get; init; }

    /// <summary>Milliseconds of it that were seen.</summary>
    [JsonPropertyName("seen")] public long SeenMs { get; init; }

    /// <summary>Arrivals in them.</summary>
    [JsonPropertyName("arrivals")] public double Arrivals { get; init; }

    /// <summary>Arrivals per second of the slot before; negative if it was not seen.</summary>
    [JsonPropertyName("before")] public double Before { get; init; } = -1;

    /// <summary>Faded sum of what came.</summary>
    [JsonPropertyName("came")] public double Came { get; init; }

    /// <summary>Faded sum of what the profile had for the same slots.</summary>
    [JsonPropertyName("expected")] public double Expected { get; init; }

    /// <summary>Faded mean squared error of the profile.</summary>
    [JsonPropertyName("error")] public double Error { get; init; }

    /// <summary>Faded mean squared error of taking the slot before.</summary>
    [JsonPropertyName("naive")] public double NaiveError { get; init; }

    /// <summary>Slots of which the errors are known.</summary>
    [JsonPropertyName("tried")] public int Tried { get; init; }
}

/// <summary>
/// How arrivals go up and down with the time of day (UTC): the mean rate of each quarter of an hour over the last days, at the level of the
/// present day. Today's departure from the profile is taken to last in part (as the autoregressive term of Taylor, Short-term electricity demand
/// forecasting using double seasonal exponential smoothing, 2003). It counts as far as it has proved better than no profile at all: by its skill, 1 − squared error ÷
/// squared error of the naive forecast (Murphy, Skill scores based on the mean square error, 1988), which is nothing on traffic that knows no
/// time of day. Not thread-safe.
/// </summary>
public sealed class DaySeason
{
    /// <summary>Slots of the day.</summary>
    public const int Slots = 96;

    /// <summary>Length of a slot in milliseconds.</summary>
    public const long SlotMs = 86_400_000 / Slots;

    private const int MaxDays = 7;
    private const int TrialsNeeded = Slots / 2;
    private const double SeenEnough = 0.8;
    private const double Persistence = 0.7;
    private const double LevelFade = 0.96;
    private const double ErrorFade = 1 - (1.0 / (2 * Slots));
    private const double MaxLevel = 4;

    private DaySeasonState _state;

    /// <summary>Begins with nothing learned, or with what was stored.</summary>
    public DaySeason(DaySeasonState? state = null) => _state = state is { Rates.Count: 0 or Slots } && state.Days.Count == state.Rates.Count ? state : new();

    /// <summary>How far the profile is trusted, 0..1.</summary>
    public double Skill => _state.Tried < TrialsNeeded || !(_state.NaiveError > 0) ? 0 : Math.Clamp(1 - (_state.Error / _state.NaiveError), 0, 1);

    /// <summary>The season as it is to be stored.</summary>
    public DaySeasonState ToState() => _state;

    /// <summary>Takes the arrivals of a span, which are spread over it evenly.</summary>
    /// <param name="from">Unix ms.</param>
    /// <param name="to">Unix ms, not earlier.</param>
    /// <param name="arrivals">Requests that arrived in between.</param>
    public void Observe(long from, long to, double arrivals)
    {
        if (to <= from || from < 0)
        {
            return;
        }

        if (from / SlotMs != _state.Slot)
        {
            Begin(from / SlotMs, isNext: false);
        }

        var perMs = arrivals / (to - from);
        for (var at = from; at < to;)
        {
            var end = Math.Min(to, (_state.Slot + 1) * SlotMs);
            _state = _state with { SeenMs = _state.SeenMs + end - at, Arrivals = _state.Arrivals + (perMs * (end - at)) };
            at = end;
            if (end == (_state.Slot + 1) * SlotMs)
            {
                Begin(_state.Slot + 1, isNext: true);
            }
        }
    }

    /// <summary>Arrivals per second at a later moment.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="at">Unix ms of the moment.</param>
    /// <param name="rateNow">Arrivals per second now.</param>
    /// <param name="rateThen">Arrivals per second then, as far as can be told without the time of day.</param>
    public double At(long now, long at, double rateNow, double rateThen)
    {
        var skill = Skill;
        if (skill <= 0 || Profile(now) is not { } here || Profile(at) is not { } there)
        {
            return rateThen;
        }

        var level = Level;
        var seasonal = (level * there) + (Persistence * (rateNow - (level * here)));
        return Math.Max(0, rateThen + (skill * (seasonal - rateThen)));
    }

    private double Level => _state.Expected > 0 ? Math.Clamp(_state.Came / _state.Expected, 1 / MaxLevel, MaxLevel) : 1;

    /// <summary>The profile at a moment, between the middles of two slots; null where it has not been learned.</summary>
    private double? Profile(long at)
    {
        var position = (double)at / SlotMs % Slots - 0.5;
        var first = (int)Math.Floor(position);
        var (a, b) = ((first + Slots) % Slots, (first + 1) % Slots);
        return _state.Rates.Count == 0 || _state.Days[a] == 0 || _state.Days[b] == 0
            ? null
            : _state.Rates[a] + ((position - first) * (_state.Rates[b] - _state.Rates[a]));
    }

    private void Begin(long slot, bool isNext)
    {
        var rate = isNext && _state.SeenMs >= SeenEnough * SlotMs ? _state.Arrivals * 1000 / _state.SeenMs : -1;
        if (rate >= 0)
        {
            Learn((int)(_state.Slot % Slots), rate);
        }

        _state = _state with { Slot = slot, SeenMs = 0, Arrivals = 0, Before = rate };
    }

    private void Learn(int slot, double rate)
    {
        var rates = _state.Rates.Count == 0 ? new float[Slots] : [.. _state.Rates];
        var days = _state.Days.Count == 0 ? new int[Slots] : [.. _state.Days];
        var before = (slot + Slots - 1) % Slots;
        if (days[slot] > 0)
        {
            if (_state.Before >= 0 && days[before] > 0)
            {
                var level = Level;
                var error = rate - Math.Max(0, (level * rates[slot]) + (Persistence * (_state.Before - (level * rates[before]))));
                var naive = rate - _state.Before;
                var share = Math.Max(1 - ErrorFade, 1.0 / (_state.Tried + 1));
                _state = _state with
                {
                    Error = _state.Error + (share * ((error * error) - _state.Error)),
                    NaiveError = _state.NaiveError + (share * ((naive * naive) - _state.NaiveError)),
                    Tried = Math.Min(int.MaxValue - 1, _state.Tried + 1),
                };
            }

            _state = _state with { Came = (_state.Came * LevelFade) + rate, Expected = (_state.Expected * LevelFade) + rates[slot] };
        }

        days[slot] = Math.Min(MaxDays, days[slot] + 1);
        rates[slot] += (float)((rate - rates[slot]) / days[slot]);
        _state = _state with { Rates = rates, Days = days };
    }
}
