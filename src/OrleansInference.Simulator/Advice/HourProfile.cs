using OrleansInference.Simulator.Measures;

namespace OrleansInference.Simulator.Advice;

/// <summary>How busy a model's slots are over the hours of the day.</summary>
/// <param name="QuietHour">The hour of the day, 0..23, in which the least share of them is in use.</param>
/// <param name="QuietShare">That share, 0..1.</param>
/// <param name="Share">The share over all hours, 0..1.</param>
/// <param name="MeanSlots">Slots in service, on average.</param>
internal readonly record struct HourProfile(int QuietHour, double QuietShare, double Share, double MeanSlots)
{
    private const int StepsPerHour = 6;

    /// <summary>The profile of a timeline.</summary>
    public static HourProfile Of(IReadOnlyList<LoadPoint> timeline)
    {
        var (slots, used) = (new double[24], new double[24]);
        for (var i = 0; i < timeline.Count; i++)
        {
            var hour = i / StepsPerHour % 24;
            slots[hour] += timeline[i].Slots;
            used[hour] += timeline[i].InUse;
        }

        var (quiet, least) = (0, 1.0);
        for (var hour = 0; hour < 24; hour++)
        {
            if (slots[hour] > 0 && used[hour] / slots[hour] < least)
            {
                (quiet, least) = (hour, used[hour] / slots[hour]);
            }
        }

        var all = slots.Sum();
        return new(quiet, least, all > 0 ? used.Sum() / all : 0, timeline.Count == 0 ? 0 : all / timeline.Count);
    }
}
