namespace OrleansInference.Capacity;

/// <summary>How long requests may wait for a slot.</summary>
/// <param name="Wait">The longest wait that is fine, in mean service times, not negative.</param>
/// <param name="LateShare">Share of requests that may wait longer, 0..1 exclusive.</param>
public readonly record struct WaitTarget(double Wait, double LateShare)
{
    /// <summary>Ninety-nine in a hundred wait at most half a service time, as routes are asked to meet their deadline that often.</summary>
    public static WaitTarget Default { get; } = new(0.5, 0.01);
}

/// <summary>
/// How many slots keep the wait within a target: the load plus a margin in proportion to its square root (Halfin, Whitt, Heavy-traffic limits for
/// queues with many exponential servers, 1981), from which the least number that holds by <see cref="ErlangC"/> is looked for. Arrivals that
/// come in bursts are a smaller system in which each call counts <c>peakedness</c> times: slots and load are divided by it (Hayward's
/// approximation; Fredericks, Congestion in blocking systems, 1980; for waits Whitt, Understanding the efficiency of multi-server service
/// systems, 1992). Bigger systems need relatively less margin, which no fixed utilisation can say.
/// </summary>
public static class Staffing
{
    /// <summary>Peakedness is taken to be at most this.</summary>
    public const double MaxPeakedness = 16;

    /// <summary>Slots needed, at least those of the load itself; <paramref name="maxSlots"/> if even those are too few.</summary>
    /// <param name="load">Offered load in Erlangs; what is not a positive number needs nothing.</param>
    /// <param name="peakedness">Variance over mean of the calls that would be in progress if none waited: 1 for Poisson arrivals, more for bursts.</param>
    /// <param name="target">The wait target.</param>
    /// <param name="maxSlots">Slots there can be, not negative.</param>
    public static int Slots(double load, double peakedness, WaitTarget target, int maxSlots)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxSlots);
        if (!(target.LateShare is > 0 and < 1) || !(target.Wait >= 0))
        {
            throw new ArgumentOutOfRangeException(nameof(target), target, "A wait target needs a wait that is not negative and a share between 0 and 1.");
        }

        if (!(load > 0) || maxSlots == 0)
        {
            return 0;
        }

        if (load >= maxSlots)
        {
            return maxSlots;
        }

        var z = double.IsNaN(peakedness) ? 1 : Math.Clamp(peakedness, 1, MaxPeakedness);
        bool Holds(int slots) => ErlangC.WaitingLonger(slots / z, load / z, target.Wait) <= target.LateShare;

        // More slots never wait longer: the least that holds lies between one that does not and one that does.
        var step = Math.Max(1, (int)Math.Sqrt(load * z));
        var below = (int)Math.Floor(load);
        var enough = Math.Min(maxSlots, below + step);
        while (!Holds(enough))
        {
            if (enough == maxSlots)
            {
                return maxSlots;
            }

            below = enough;
            step *= 2;
            enough = (int)Math.Min(maxSlots, (long)enough + step);
        }

        while (enough - below > 1)
        {
            var middle = below + ((enough - below) / 2);
            if (Holds(middle))
            {
                enough = middle;
            }
            else
            {
                below = middle;
            }
        }

        return enough;
    }
}
