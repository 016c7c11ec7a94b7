namespace OrleansInference.Capacity;

/// <summary>What the end of a call says about the endpoint.</summary>
public enum CallVerdict
{
    /// <summary>Nothing: it was given up, ran out of time or was throttled.</summary>
    None = 0,

    /// <summary>The endpoint answered, be it that the model refused.</summary>
    Healthy = 1,

    /// <summary>The endpoint failed.</summary>
    Faulty = 2,
}

/// <summary>The times and bounds of a <see cref="CircuitBreaker"/>.</summary>
public sealed record CircuitBreakerOptions
{
    /// <summary>Failures in a row that open it, at least 1.</summary>
    public int FailuresToOpen { get; init; } = 5;

    /// <summary>How long it stays open before calls probe the endpoint, in milliseconds.</summary>
    public long OpenMs { get; init; } = 5_000;

    /// <summary>Most probes under way at once, at least 1.</summary>
    public int MaxProbes { get; init; } = 1;
}

/// <summary>That a call was let through; given back with its end, once.</summary>
/// <param name="Phase">The phase of the breaker that it was let through in.</param>
public readonly record struct CircuitPass(long Phase);

/// <summary>
/// Keeps calls off an endpoint that fails. Closed, it lets all through; failures in a row open it; after a pause it is half open: a bounded number
/// of calls probe the endpoint, and the first of them that says something closes it or opens it again. Only calls that were let through in the present
/// phase count, so that those from before it opened say nothing about now. Thread-safe; takes no lock while all is well.
/// </summary>
public sealed class CircuitBreaker(CircuitBreakerOptions options)
{
    private const int States = 3;
    private const int Closed = 0;
    private const int Open = 1;
    private const int HalfOpen = 2;

    private readonly Lock _lock = new();

    // Counts up at each change, by as much as makes the rest of its division by the number of states the state: read as one.
    private long _phase;
    private long _openUntil;
    private int _failures;
    private int _probes;

    /// <summary>Whether a call would not be let through now.</summary>
    /// <param name="now">Unix ms.</param>
    public bool Blocks(long now)
    {
        if (StateOf(Volatile.Read(ref _phase)) == Closed)
        {
            return false;
        }

        lock (_lock)
        {
            return StateOf(_phase) != Closed && (_probes >= options.MaxProbes || (StateOf(_phase) == Open && now < _openUntil));
        }
    }

    /// <summary>Lets a call through, or not. One that is let through must tell its <see cref="Ended"/>.</summary>
    /// <param name="now">Unix ms.</param>
    public CircuitPass? TryEnter(long now)
    {
        var phase = Volatile.Read(ref _phase);
        if (StateOf(phase) == Closed)
        {
            return new(phase);
        }

        lock (_lock)
        {
            if (StateOf(_phase) != Closed)
            {
                // Probes of an earlier pause may still be under way: they count.
                if (_probes >= options.MaxProbes || (StateOf(_phase) == Open && now < _openUntil))
                {
                    return null;
                }

                _probes++;
                if (StateOf(_phase) == Open)
                {
                    Become_NeedsLock(HalfOpen);
                }
            }

            return new(_phase);
        }
    }

    /// <summary>A call that was let through has ended.</summary>
    /// <param name="pass">What it was let through with.</param>
    /// <param name="verdict">What it says about the endpoint.</param>
    /// <param name="now">Unix ms.</param>
    public void Ended(CircuitPass pass, CallVerdict verdict, long now)
    {
        var isProbe = StateOf(pass.Phase) == HalfOpen;
        if (!isProbe && (verdict == CallVerdict.None || (verdict == CallVerdict.Healthy && Volatile.Read(ref _failures) == 0)))
        {
            return;
        }

        lock (_lock)
        {
            if (isProbe)
            {
                _probes--;
            }

            if (pass.Phase != _phase || verdict == CallVerdict.None)
            {
                return;
            }

            if (verdict == CallVerdict.Healthy)
            {
                _failures = 0;
                if (isProbe)
                {
                    Become_NeedsLock(Closed);
                }
            }
            else if (isProbe || ++_failures >= options.FailuresToOpen)
            {
                _failures = 0;
                _openUntil = now + options.OpenMs;
                Become_NeedsLock(Open);
            }
        }
    }

    private static int StateOf(long phase) => (int)(phase % States);

    private void Become_NeedsLock(int state) => Volatile.Write(ref _phase, _phase - StateOf(_phase) + States + state);
}
