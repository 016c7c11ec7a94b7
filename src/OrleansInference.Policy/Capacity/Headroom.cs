using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>A <see cref="Headroom"/> as it is stored.</summary>
public sealed record HeadroomState
{
    /// <summary>Weight of what was observed, 0..1: how much of the sliding time has been seen.</summary>
    [JsonPropertyName("weight")] public double Weight { get; init; }

    /// <summary>Weighted sum of the slots in use.</summary>
    [JsonPropertyName("sum")] public double Sum { get; init; }

    /// <summary>Weighted sum of their squares.</summary>
    [JsonPropertyName("squares")] public double Squares { get; init; }

    /// <summary>Slots in use when last observed.</summary>
    [JsonPropertyName("last")] public int Last { get; init; }

    /// <summary>Unix ms of the last observation; 0 before the first.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>Unix ms at which any was in use last; 0 if never.</summary>
    [JsonPropertyName("seen")] public long SeenAt { get; init; }
}

/// <summary>
/// How many slots lower classes leave free for <see cref="TrafficClass.High"/>, from how many of its calls were in flight lately and how much that
/// went up and down. Where High arrives at random its slots in use vary by the square root of their mean, and about two such roots above the mean keep its
/// wait small (square-root staffing: Halfin, Whitt 1981); where it arrives in bursts they vary by more, and the measured deviation takes the root's
/// place. So lower classes together never use more than the slots less High's usual peak; and when it is at its peak already, what may
/// still be added to it, by the same measure (the index of dispersion: variance over mean), stays free. Not thread-safe.
/// </summary>
public sealed class Headroom
{
    /// <summary>Over how long what is seen fades, in milliseconds.</summary>
    public const long FadeMs = 300_000;

    /// <summary>How long after the last call of High a slot is kept for the next one, in milliseconds.</summary>
    public const long QuietMs = 3 * FadeMs;

    private const double Deviations = 2;

    // Where it can wait a while for a slot that comes free.
    private const double PatientDeviations = 1;

    private HeadroomState _state;

    /// <summary>Begins with nothing seen, or with what was stored.</summary>
    public Headroom(HeadroomState? state = null) =>
        _state = state is not null && double.IsFinite(state.Sum) && double.IsFinite(state.Squares) && state.Weight is >= 0 and <= 1 ? state : new();

    /// <summary>Slots that High used on average lately.</summary>
    public double Mean => _state.Weight > 0 ? _state.Sum / _state.Weight : 0;

    /// <summary>Variance of the slots that High used lately.</summary>
    public double Variance => _state.Weight > 0 ? Math.Max(0, (_state.Squares / _state.Weight) - (Mean * Mean)) : 0;

    /// <summary>The headroom as it is to be stored.</summary>
    public HeadroomState ToState() => _state;

    /// <summary>Takes how many slots High uses now, or asks for that a slot would be used at once; an earlier moment than the last changes nothing.</summary>
    /// <param name="now">Unix ms.</param>
    /// <param name="highInUse">Slots in use by High, and requests of High that wait for one.</param>
    public void Observe(long now, int highInUse)
    {
        if (now < _state.At)
        {
            return;
        }

        highInUse = Math.Max(0, highInUse);
        var fade = _state.At == 0 ? 0 : Math.Exp(-(now - _state.At) / (double)FadeMs);

        // What is seen now is taken to have been so since the last look; the first look counts as a second.
        var weight = _state.At == 0 ? 1_000.0 / FadeMs : 1 - fade;
        _state = new()
        {
            Weight = Math.Min(1, (_state.Weight * fade) + weight),
            Sum = (_state.Sum * fade) + (weight * highInUse),
            Squares = (_state.Squares * fade) + (weight * highInUse * highInUse),
            Last = highInUse,
            At = now,
            SeenAt = highInUse > 0 ? now : _state.SeenAt,
        };
    }

    /// <summary>
    /// Slots that are to be free when a lower class takes one: none if High has not been seen for <see cref="QuietMs"/>, else at least one; always less
    /// than all, so that lower classes get on. Where High can wait a while, one deviation
    /// takes the place of two, and slots that come free meanwhile need not be kept: busy ones do at the rate of their number over the service time, give or take its root.
    /// </summary>
    /// <param name="totalSlots">Slots there are.</param>
    /// <param name="serviceMs">How long a call takes on average, in milliseconds; 0: not known.</param>
    /// <param name="waitMs">How long a request of High can wait for a slot, in milliseconds; 0: not at all.</param>
    public int Slots(int totalSlots, double serviceMs = 0, double waitMs = 0)
    {
        if (totalSlots <= 1 || _state.SeenAt == 0 || _state.At - _state.SeenAt > QuietMs)
        {
            return 0;
        }

        var mean = Mean;
        var variance = Math.Max(mean, Variance);
        var deviations = serviceMs > 0 && waitMs > 0 ? PatientDeviations : Deviations;
        var peak = mean + (deviations * Math.Sqrt(variance));
        var dispersion = mean > 0 ? variance / mean : 1;
        var more = Math.Sqrt(dispersion * _state.Last);
        var freed = serviceMs > 0 && waitMs > 0 ? totalSlots * waitMs / serviceMs : 0;
        freed = Math.Max(0, freed - (deviations * Math.Sqrt(freed)));
        return (int)Math.Clamp(Math.Ceiling(Math.Max(peak - _state.Last, more) - freed), 1, totalSlots - 1);
    }
}
