using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Bounds;

/// <summary>A way to serve a request of a model: a variant on an instance's slot, or in a serverless execution.</summary>
internal sealed class ServiceOption(ScenarioVariant variant, double speed, long limitUs, double nanosPerUs)
{
    /// <summary>Price of a microsecond of service in nano-dollars, if all slots are in use all the time.</summary>
    public double NanosPerUs { get; } = nanosPerUs;

    /// <summary>The quality of its answers.</summary>
    public double Quality => variant.Quality;

    /// <summary>The ways in which a model's requests can be served.</summary>
    public static IEnumerable<ServiceOption> Of(ScenarioModel model, bool fullOnly)
    {
        for (var index = 0; index < model.Variants.Length; index++)
        {
            var variant = model.Variants[index];
            if (fullOnly && index != model.Full)
            {
                continue;
            }

            foreach (var lane in model.Lanes)
            {
                yield return lane.Lane == Lane.Serverless
                    ? new(variant, lane.SpeedFactor, LimitUs(lane), lane.PricePerGbSecond.Nanos * (lane.MemoryMb / 1024.0) / 1e6)
                    : OnInstances(variant, lane);
            }
        }
    }

    /// <summary>A variant on the slots of a lane's instances.</summary>
    public static ServiceOption OnInstances(ScenarioVariant variant, ScenarioLane lane) =>
        new(variant, 1, LimitUs(lane), variant.PricePerHour.Nanos / (3.6e9 * variant.Concurrency));

    /// <summary>Microseconds that a request takes; 0 if it cannot be answered within the given time.</summary>
    public long ServiceUs(int inputTokens, int outputTokens, float jitter, long withinUs)
    {
        var service = Math.Max(1, (long)(variant.UnloadedSeconds(inputTokens, outputTokens) * jitter * 1e6 / speed));
        return service <= limitUs && service <= withinUs ? service : 0;
    }

    private static long LimitUs(ScenarioLane lane) => lane.MaxServiceSeconds > 0 ? (long)(lane.MaxServiceSeconds * 1e6) : long.MaxValue;
}
