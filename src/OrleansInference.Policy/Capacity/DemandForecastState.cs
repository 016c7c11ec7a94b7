using System.Text.Json.Serialization;

namespace OrleansInference.Capacity;

/// <summary>A forecast that is yet to come true.</summary>
public sealed record ForecastPromise
{
    /// <summary>Unix ms of the moment that it is for.</summary>
    [JsonPropertyName("due")] public long Due { get; init; }

    /// <summary>Arrivals per second when it was made, over the last minute or so.</summary>
    [JsonPropertyName("fast")] public double Fast { get; init; }

    /// <summary>Arrivals per second when it was made, over the last quarter of an hour or so.</summary>
    [JsonPropertyName("slow")] public double Slow { get; init; }

    /// <summary>Arrivals per second that were forecast.</summary>
    [JsonPropertyName("rate")] public double Rate { get; init; }
}

/// <summary>A <see cref="DemandForecast"/> as it is stored: some three kilobytes, however long it has been learning.</summary>
public sealed record DemandForecastState
{
    /// <summary>Unix ms of the last observation; 0 before the first.</summary>
    [JsonPropertyName("at")] public long At { get; init; }

    /// <summary>Faded sum of the arrival rate over the last minute or so.</summary>
    [JsonPropertyName("fast")] public double Fast { get; init; }

    /// <summary>Arrivals per second between the last two observations.</summary>
    [JsonPropertyName("last")] public double Last { get; init; }

    /// <summary>Milliseconds between them; 0: there were none.</summary>
    [JsonPropertyName("lastMs")] public long LastMs { get; init; }

    /// <summary>Arrivals per second that each of the last two times between observations had at least.</summary>
    [JsonPropertyName("both")] public double Both { get; init; }

    /// <summary>Milliseconds of both times; 0: there were none.</summary>
    [JsonPropertyName("bothMs")] public long BothMs { get; init; }

    /// <summary>Calls in progress over the last hour or so, beginning with 0.</summary>
    [JsonPropertyName("hour")] public double Hour { get; init; }

    /// <summary>Weight of what is in <see cref="Fast"/>, 0..1.</summary>
    [JsonPropertyName("fastWeight")] public double FastWeight { get; init; }

    /// <summary>Faded sum of the arrival rate over the last quarter of an hour or so.</summary>
    [JsonPropertyName("slow")] public double Slow { get; init; }

    /// <summary>Weight of what is in <see cref="Slow"/>, 0..1.</summary>
    [JsonPropertyName("slowWeight")] public double SlowWeight { get; init; }

    /// <summary>Faded slot-milliseconds of calls that ended.</summary>
    [JsonPropertyName("busyMs")] public double BusyMs { get; init; }

    /// <summary>Faded number of them.</summary>
    [JsonPropertyName("ended")] public double Ended { get; init; }

    /// <summary>Unix ms at which the count for the dispersion began.</summary>
    [JsonPropertyName("countAt")] public long CountAt { get; init; }

    /// <summary>Arrivals since.</summary>
    [JsonPropertyName("count")] public double Count { get; init; }

    /// <summary>Arrivals per second that were expected then; negative if nothing was.</summary>
    [JsonPropertyName("expected")] public double Expected { get; init; } = -1;

    /// <summary>Faded sum of squared departures of counts from what was expected.</summary>
    [JsonPropertyName("squares")] public double Squares { get; init; }

    /// <summary>Faded sum of the counts that were expected.</summary>
    [JsonPropertyName("counts")] public double Counts { get; init; }

    /// <summary>Forecasts whose time has not come, the earliest first; at most eight.</summary>
    [JsonPropertyName("promises")] public IReadOnlyList<ForecastPromise> Promises { get; init; } = [];

    /// <summary>Faded sum of errors of forecasts over the mean rate of the time, without sign.</summary>
    [JsonPropertyName("errors")] public double Errors { get; init; }

    /// <summary>Faded number of them.</summary>
    [JsonPropertyName("tried")] public double Tried { get; init; }

    /// <summary>Faded sum of products of how far the rate was from its mean, then and at the time that was forecast.</summary>
    [JsonPropertyName("lasting")] public double Lasting { get; init; }

    /// <summary>Faded sum of squares of how far the rate was from its mean when the forecast was made.</summary>
    [JsonPropertyName("departed")] public double Departed { get; init; }

    /// <summary>The time of day; null until something was seen.</summary>
    [JsonPropertyName("season")] public DaySeasonState? Season { get; init; }

    /// <summary>Weighted sum of the arrivals per second of the last minutes.</summary>
    [JsonPropertyName("middle")] public double Middle { get; init; }

    /// <summary>The highest that it was, faded.</summary>
    [JsonPropertyName("peak")] public double Peak { get; init; }

    /// <summary>Calls in progress over the last minutes.</summary>
    [JsonPropertyName("middleLoad")] public double MiddleLoad { get; init; }

    /// <summary>The most that they were, faded.</summary>
    [JsonPropertyName("peakLoad")] public double PeakLoad { get; init; }
}
