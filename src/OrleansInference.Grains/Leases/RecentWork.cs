namespace OrleansInference.Leases;

/// <summary>How much work came in each of the last seconds. Safe for concurrent use; of what comes in the moment in which a second's place is used again some may be missed.</summary>
internal sealed class RecentWork
{
    // Longer than any status is old.
    private const int Seconds = 64;

    private readonly long[] _work = new long[Seconds];
    private readonly long[] _second = new long[Seconds];

    /// <summary>Work comes.</summary>
    /// <param name="work">How much.</param>
    /// <param name="now">Unix ms.</param>
    public void Add(long work, long now)
    {
        var second = now / 1000;
        var place = (int)(second % Seconds);
        var known = Volatile.Read(ref _second[place]);
        if (known != second && Interlocked.CompareExchange(ref _second[place], second, known) == known)
        {
            Interlocked.Exchange(ref _work[place], 0);
        }

        Interlocked.Add(ref _work[place], work);
    }

    /// <summary>What came from the second of a moment on; of the last minute at most.</summary>
    /// <param name="since">Unix ms.</param>
    /// <param name="now">Unix ms.</param>
    public long Since(long since, long now)
    {
        var sum = 0L;
        for (var second = Math.Max(since / 1000, (now / 1000) - Seconds + 1); second <= now / 1000; second++)
        {
            sum += Volatile.Read(ref _second[second % Seconds]) == second ? Volatile.Read(ref _work[second % Seconds]) : 0;
        }

        return sum;
    }
}
