namespace OrleansInference.Budgets;

/// <summary>A held job that has its money.</summary>
/// <param name="Id">Id of the reservation.</param>
/// <param name="AdmittedAt">Unix ms at which its charge counts.</param>
public readonly record struct FundedJob(string Id, long AdmittedAt);

// Jobs that wait for the money. Who frees some, or sees time pass, has them served before anything else is granted.
public sealed partial class TenantLedger
{
    private const int MostJudged = 8;

    private readonly HeldJobs _held;
    private readonly List<FundedJob> _funded = [];
    private bool _isSaving;

    /// <summary>How many jobs wait for the money.</summary>
    public int HeldCount => _held.Count;

    /// <summary>The jobs that wait, as they are to be stored.</summary>
    public IReadOnlyList<HeldJob>? HeldState => _held.ToState();

    /// <summary>
    /// Whether what is available is kept for held jobs: the turn of one of them has come, and more must be saved before the next in order fits.
    /// Nothing is granted to anybody else meanwhile, or requests for less would take it from under them for ever.
    /// </summary>
    public bool IsSaving => _isSaving;

    /// <summary>
    /// Lets a job wait for its money; it is reserved for it when its place in the order has come and it fits. Repeating it changes nothing.
    /// False if <paramref name="most"/> wait already.
    /// </summary>
    /// <param name="job">The job; when its turn comes is worked out here.</param>
    /// <param name="most">Most jobs that may wait.</param>
    /// <param name="now">Unix ms.</param>
    public bool TryHold(HeldJob job, int most, long now)
    {
        Tick(now);
        Serve();
        if (_reservations.Find(job.Id) is not null)
        {
            // It has its money, or has had it: there is nothing to wait for.
            _held.Remove(job.Id);
            return true;
        }

        var known = _held.Find(job.Id);
        if (!_held.TryAdd(job with { TurnAt = known is { TurnAt: > 0 } before ? before.TurnAt : _now + Math.Max(1, ExpectedMs(job, _now) ?? 0) }, most, _now))
        {
            return false;
        }

        Version++;
        Serve();
        return true;
    }

    /// <summary>Unix ms at which the charge of an open reservation counts; null if none of that id is open.</summary>
    public long? FindAdmission(string id) => _reservations.Find(id) is { Status: ReservationStatus.Pending } open ? open.AdmittedAt : null;

    /// <summary>Milliseconds until a job that waits may have its money if nobody spends who is not before it; 0 now, null never.</summary>
    public long? ExpectedMs(HeldJob job, long now)
    {
        Tick(now);
        return RetryAfterMs(Behind(job.Need, other => HeldJobs.Order.Compare(other, job) < 0), _now);
    }

    /// <summary>Time has passed or something was freed: held jobs get their money in order.</summary>
    public void ServeHeld(long now)
    {
        Tick(now);
        Serve();
    }

    /// <summary>Held jobs that got their money since the last call; to be told once that is stored.</summary>
    public IReadOnlyList<FundedJob> TakeFunded()
    {
        if (_funded.Count == 0)
        {
            return [];
        }

        FundedJob[] taken = [.. _funded];
        _funded.Clear();
        return taken;
    }

    /// <summary>Unix ms at which held jobs are to be served again if nothing else happens; null if none waits that could be.</summary>
    public long? NextServiceAt(long now)
    {
        Tick(now);
        if (_held.Count == 0 || Judge().Head is not { } head)
        {
            return null;
        }

        var turn = long.MaxValue;
        foreach (var job in _held.InOrder)
        {
            turn = job.TurnAt > _now ? Math.Min(turn, job.TurnAt) : turn;
        }

        return Math.Min(turn, Fits(_isSaving ? head.Need : _held.InOrder.Min(static job => job.Need))?.At ?? head.Until);
    }

    private void Serve()
    {
        Version += _held.Forget(_now) ? 1 : 0;
        _isSaving = false;
        if (_held.Count == 0)
        {
            return;
        }

        while (true)
        {
            var (head, isDue) = Judge();
            if (Fund(job => head is null || HeldJobs.Order.Compare(job, head.Value) < 0) > 0)
            {
                // With less there, others are judged anew.
                continue;
            }

            if (head is { } next && isDue && WouldDelay(next))
            {
                // Before its turn, what is too little for it is for whom it is enough. Afterwards it is saved up, and what silos can spare is called back.
                _isSaving = true;
                _escrow.Await(next.Need, _now);
            }
            else
            {
                Fund(static _ => true);
            }

            return;
        }
    }

    /// <summary>Reserves, in order, for those of some jobs that fit; how many there were.</summary>
    private int Fund(Func<HeldJob, bool> may)
    {
        var funded = 0;
        var available = _book.Available(_escrow.Outstanding, _now);
        foreach (var job in _held.InOrder.ToList())
        {
            if (_reservations.Find(job.Id) is not null)
            {
                Version += _held.Remove(job.Id) ? 1 : 0;
            }
            else if (may(job) && job.Need <= available && _reservations.Pending < Reservations.MaxPending)
            {
                available -= job.Need;
                Put(job.Id, job.Need, job.ExpiresAt);
                _funded.Add(new(job.Id, _now));
                funded++;
            }
        }

        return funded;
    }

    /// <summary>
    /// The first in order that does not fit after those before it, past those that cannot have their money before their deadline: they are not waited
    /// for. And whether the turn of one that can have it has come.
    /// </summary>
    private (HeldJob? Head, bool IsDue) Judge()
    {
        var available = _book.Available(_escrow.Outstanding, _now);
        long? least = null;
        var judged = 0;
        HeldJob? head = null;
        foreach (var job in _held.InOrder)
        {
            if (head is null && job.Need <= available)
            {
                available -= job.Need;
                continue;
            }

            // When the least of them does not fit in time, no other does; so few are judged by themselves.
            least ??= Fits(_held.InOrder.Min(static other => other.Need))?.At ?? long.MaxValue;
            if (job.Until <= least)
            {
                continue;
            }

            if (head is null && judged++ < MostJudged && Fits(job.Need) is { } own && own.At < job.Until)
            {
                head = job;
            }

            if (head is not null && job.TurnAt <= _now && job.Need <= SmallestLimit())
            {
                return (head, true);
            }
        }

        return (head, false);
    }

    /// <summary>Whether what is granted to others now would still be missing when the job's money is expected.</summary>
    private bool WouldDelay(HeldJob job)
    {
        if (Fits(job.Need) is not { } fits)
        {
            return false;
        }

        Int128 free = Math.Max(0, _book.Available(_escrow.Outstanding, _now));
        foreach (var lease in _escrow.Leases)
        {
            free += lease.Free;
        }

        var end = _book.CellOf(_book.Label(_now)).End;
        foreach (var window in _book.Windows)
        {
            if (window.LeavesAt(end) > fits.At && window.Limit - _book.Counted(window, fits.At) - _escrow.Outstanding - job.Need < free)
            {
                return true;
            }
        }

        return false;
    }

    private long SmallestLimit()
    {
        var smallest = long.MaxValue;
        foreach (var window in _book.Windows)
        {
            smallest = Math.Min(smallest, window.Limit);
        }

        return smallest;
    }

    /// <summary>An amount together with what the jobs before it need, as far as it can ever fit at once.</summary>
    private long Behind(long amount, Func<HeldJob, bool> isBefore)
    {
        Int128 sum = amount;
        foreach (var job in _held.InOrder)
        {
            sum += isBefore(job) ? job.Need : 0;
        }

        foreach (var window in _book.Windows)
        {
            sum = Int128.Min(sum, Math.Max(amount, window.Limit));
        }

        return (long)Int128.Min(sum, long.MaxValue);
    }
}
