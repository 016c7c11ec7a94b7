namespace OrleansInference.Simulator.Measures;

/// <summary>What a tenant was charged, by the second at which it counts. Grows with the days and not with the requests.</summary>
internal sealed class ChargesBySecond
{
    private readonly List<long> _nanos = [];

    /// <summary>A charge.</summary>
    /// <param name="atMs">When it counts, in milliseconds since the beginning.</param>
    /// <param name="charge">How much it is.</param>
    public void Add(long atMs, Money charge)
    {
        var second = (int)(atMs / 1000);
        while (_nanos.Count <= second)
        {
            _nanos.Add(0);
        }

        _nanos[second] += charge.Nanos;
    }

    /// <summary>The most that was charged within so many whole seconds running.</summary>
    /// <param name="seconds">Length of the window, 1 or more.</param>
    public Money MostWithin(long seconds)
    {
        long sum = 0, most = 0;
        for (var i = 0; i < _nanos.Count; i++)
        {
            sum += _nanos[i] - (i >= seconds ? _nanos[(int)(i - seconds)] : 0);
            most = Math.Max(most, sum);
        }

        return Money.FromNanos(most);
    }
}
