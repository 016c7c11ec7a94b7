using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>The load of a model in its first days, as its user would have measured it: what all of it would keep busy if nothing ever waited.</summary>
internal sealed class LoadProfile
{
    private readonly double[] _slots;
    private readonly double[] _sorted;

    private LoadProfile(double[] slots, long requests, double seconds, long[] byClass)
    {
        _slots = slots;
        _sorted = [.. slots];
        Array.Sort(_sorted);
        (Requests, MeanServiceSeconds, ByClass) = (requests, requests == 0 ? 1 : seconds / requests, byClass);
    }

    /// <summary>Requests.</summary>
    public long Requests { get; }

    /// <summary>Mean seconds of a service; 1 if there was none.</summary>
    public double MeanServiceSeconds { get; }

    /// <summary>Requests by class that some lane can serve.</summary>
    public IReadOnlyList<long> ByClass { get; }

    /// <summary>Mean slots in use.</summary>
    public double MeanSlots => _slots.Length == 0 ? 0 : _slots.Average();

    /// <summary>Slots that suffice in a share of the minutes, by each minute's mean.</summary>
    /// <param name="share">0..1; 1 is the peak.</param>
    public double Slots(double share) => _sorted.Length == 0 ? 0 : _sorted[(int)Math.Clamp(Math.Ceiling(share * _sorted.Length) - 1, 0, _sorted.Length - 1)];

    /// <summary>Measures the load of arrivals.</summary>
    /// <param name="model">The model that serves them.</param>
    /// <param name="tenants">The tenants that the arrivals name.</param>
    /// <param name="arrivals">The arrivals.</param>
    /// <param name="days">Days.</param>
    /// <param name="limitSeconds">The longest that a service may take; longer ones are cut off.</param>
    public static LoadProfile Measure(ScenarioModel model, IReadOnlyList<ScenarioTenant> tenants, IArrivals arrivals, double days, double limitSeconds)
    {
        var slots = new double[(int)Math.Ceiling(days * 1440)];
        var variant = model.FullVariant;
        var longest = model.Lanes.Max(static lane => lane.MaxServiceSeconds);
        long requests = 0;
        var seconds = 0.0;
        var byClass = new long[3];
        while (arrivals.TryNext(out var arrival))
        {
            var unloaded = variant.UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens);
            if (unloaded > longest)
            {
                continue;
            }

            requests++;
            byClass[(int)tenants[arrival.Tenant].Class]++;
            var service = Math.Min(limitSeconds, unloaded * arrival.Jitter);
            seconds += service;
            Spread(slots, arrival.AtUs / 1e6, service);
        }

        return new(slots, requests, seconds, byClass);
    }

    private static void Spread(double[] slots, double at, double service)
    {
        var end = at + service;
        for (var minute = (int)(at / 60); minute < slots.Length && minute * 60.0 < end; minute++)
        {
            slots[minute] += (Math.Min(end, (minute + 1) * 60.0) - Math.Max(at, minute * 60.0)) / 60;
        }
    }
}
