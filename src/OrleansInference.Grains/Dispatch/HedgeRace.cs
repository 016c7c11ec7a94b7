namespace OrleansInference.Dispatch;

/// <summary>
/// Two calls for one request, of which one decides its outcome and its charge: the first that is answered, or the last that fails. Safe for
/// concurrent use.
/// </summary>
internal sealed class HedgeRace
{
    private const int Decided = -1;

    // Calls under way, or that the outcome is decided.
    private int _running = 1;

    /// <summary>A second call begins; false if the first has ended.</summary>
    public bool TryJoin() => Interlocked.CompareExchange(ref _running, 2, 1) == 1;

    /// <summary>A call was answered; true if the answer is the request's.</summary>
    public bool TryWin() => Interlocked.Exchange(ref _running, Decided) != Decided;

    /// <summary>A call failed; true if the failure is the request's, since no other call is under way and none was answered.</summary>
    public bool TryFail()
    {
        while (true)
        {
            var running = Volatile.Read(ref _running);
            if (running == Decided)
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _running, running == 1 ? Decided : running - 1, running) == running)
            {
                return running == 1;
            }
        }
    }
}
