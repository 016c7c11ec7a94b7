using System.Globalization;

namespace OrleansInference.Oracles;

/// <summary>A request on an endpoint, seen from outside. Times in Unix ms on one clock.</summary>
/// <param name="Class">Its class.</param>
/// <param name="ArrivedAt">When it came to a silo.</param>
/// <param name="SentAt">When it reached the endpoint; null if it never did.</param>
/// <param name="EndedAt">When the endpoint was done with it, or when it was turned away.</param>
public readonly record struct SlotUse(TrafficClass Class, long ArrivedAt, long? SentAt, long EndedAt);

/// <summary>Recomputes P4, never above concurrency, and P6, no inversion, from what an endpoint itself has seen.</summary>
public static class SlotOracle
{
    /// <summary>Every moment at which a request reached the endpoint while as many as it has slots were there.</summary>
    /// <param name="uses">The requests.</param>
    /// <param name="slotsAt">How many slots there were at a moment.</param>
    public static IReadOnlyList<Breach> Excess(IEnumerable<SlotUse> uses, Func<long, int> slotsAt)
    {
        ArgumentNullException.ThrowIfNull(slotsAt);
        var sent = uses.Where(static use => use.SentAt is not null).ToList();

        // At the same millisecond ends come first: the endpoint told them before the next was sent.
        var events = sent.Select(static use => (At: use.SentAt!.Value, Change: 1)).Concat(sent.Select(static use => (At: use.EndedAt, Change: -1))).OrderBy(static each => (each.At, each.Change));
        var breaches = new List<Breach>();
        var inFlight = 0;
        foreach (var (at, change) in events)
        {
            inFlight += change;
            if (change > 0 && inFlight > slotsAt(at))
            {
                breaches.Add(new("P4", default, string.Create(CultureInfo.InvariantCulture, $"{inFlight} requests on {slotsAt(at)} slots at {at}")));
            }
        }

        return breaches;
    }

    /// <summary>Every request that was sent while a more urgent one had been waiting for so long that its silo and the endpoint's grain knew of it.</summary>
    /// <param name="uses">The requests.</param>
    /// <param name="knownAfterMs">After what time a request that waits is known, in milliseconds.</param>
    public static IReadOnlyList<Breach> Inversions(IEnumerable<SlotUse> uses, long knownAfterMs)
    {
        var all = uses.ToList();
        var breaches = new List<Breach>();
        foreach (var lower in all.Where(static use => use.SentAt is not null && use.Class != TrafficClass.High))
        {
            foreach (var urgent in all)
            {
                if (urgent.Class < lower.Class && urgent.ArrivedAt + knownAfterMs <= lower.SentAt && (urgent.SentAt ?? urgent.EndedAt) > lower.SentAt)
                {
                    breaches.Add(new("P6", default, string.Create(CultureInfo.InvariantCulture, $"a request of class {lower.Class} was sent at {lower.SentAt} while one of class {urgent.Class} waited from {urgent.ArrivedAt} to {urgent.SentAt ?? urgent.EndedAt}")));
                    break;
                }
            }
        }

        return breaches;
    }
}
