namespace OrleansInference.Capacity;

/// <summary>
/// The queue with many servers: Poisson arrivals of <c>load</c> Erlangs (arrival rate × mean service time), exponential service, whoever finds no
/// server free waits (M/M/c; Erlang 1917). The number of servers may be a fraction: peakedness (<see cref="Staffing"/>) asks for such.
/// </summary>
public static class ErlangC
{
    /// <summary>
    /// Erlang's B: the share of arrivals that find every server busy if nobody waits, 0..1. By the recursion
    /// 1/B(c) = 1 + c/a · 1/B(c−1), which adds positive terms only and so loses no digits, in steps of one server.
    /// </summary>
    /// <param name="servers">Servers, not negative.</param>
    /// <param name="load">Offered load in Erlangs, not negative.</param>
    public static double Blocking(double servers, double load)
    {
        Check(servers, load);
        if (load <= 0)
        {
            return servers > 0 ? 0 : 1;
        }

        var whole = Math.Floor(servers);
        var inverse = 1 / BlockingBelowOne(servers - whole, load);
        for (var step = 1; step <= whole; step++)
        {
            inverse = 1 + ((servers - whole + step) / load * inverse);
        }

        return 1 / inverse;
    }

    /// <summary>Erlang's C: the share of arrivals that wait at all, 0..1; 1 where the servers are too few for the load.</summary>
    /// <param name="servers">Servers, not negative.</param>
    /// <param name="load">Offered load in Erlangs, not negative.</param>
    public static double Waiting(double servers, double load)
    {
        var blocking = Blocking(servers, load);
        return servers <= load ? load > 0 || servers <= 0 ? 1 : 0 : blocking / (1 - (load / servers * (1 - blocking)));
    }

    /// <summary>The share of arrivals that wait longer than a time, 0..1.</summary>
    /// <param name="servers">Servers, not negative.</param>
    /// <param name="load">Offered load in Erlangs, not negative.</param>
    /// <param name="wait">The time, in mean service times, not negative.</param>
    public static double WaitingLonger(double servers, double load, double wait)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(wait);
        return servers <= load ? Waiting(servers, load) : Waiting(servers, load) * Math.Exp(-(servers - load) * wait);
    }

    // Less than one server: a parabola through B(0), B(1) and B(2) (Rapp, Planning of junction network in a multi-exchange area, 1964).
    private static double BlockingBelowOne(double servers, double load)
    {
        var denominator = ((1 + load) * (1 + load)) + load;
        return 1 - ((2 + load) / denominator * servers) + (servers * servers / ((1 + load) * denominator));
    }

    private static void Check(double servers, double load)
    {
        if (!(servers >= 0 && double.IsFinite(servers)))
        {
            throw new ArgumentOutOfRangeException(nameof(servers), servers, "Servers must be a finite number that is not negative.");
        }

        if (!(load >= 0 && double.IsFinite(load)))
        {
            throw new ArgumentOutOfRangeException(nameof(load), load, "A load must be a finite number that is not negative.");
        }
    }
}
