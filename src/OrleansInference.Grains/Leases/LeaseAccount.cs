using System.Diagnostics.CodeAnalysis;
using OrleansInference.Budgets;
using OrleansInference.Hosting;

namespace OrleansInference.Leases;

/// <summary>
/// What this silo holds of one owner's limited quantity: the lease in use, and those that were closed and go on being
/// reported until their last reservation has ended. Messages to the owner go one at a time.
/// </summary>
[SuppressMessage("Design", "CA1001:Types that own disposable fields should be disposable", Justification = "The semaphore's wait handle is never asked for, so there is nothing to dispose, and an account lives as long as its silo.")]
internal abstract class LeaseAccount(LeaseHolderIdentity holder, RouterClock clock)
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly List<HeldLease> _retired = [];
    private volatile HeldLease _current = New(holder);
    private volatile Task? _beat;
    private int _isRefilling;
    private long _usedAt = clock.Now;
    private long _reportedAt;

    /// <summary>How long an account without use keeps its lease, in router milliseconds.</summary>
    public const long IdleMs = 30_000;

    private const long TouchMs = 500;

    protected RouterClock Clock { get; } = clock;

    /// <summary>A beat that comes sooner than this after the last report tells the owner nothing, in router milliseconds.</summary>
    protected virtual long ReportEveryMs => 0;

    /// <summary>The lease to reserve from.</summary>
    protected HeldLease Current => _current;

    /// <summary>Whether the owner has been told of everything, and nothing is held.</summary>
    public bool IsOver
    {
        get
        {
            lock (_retired)
            {
                return _retired.Count == 0 && !_current.IsReported;
            }
        }
    }

    /// <summary>Units that could be reserved now.</summary>
    public long Available => _current.Lease.Available;

    /// <summary>The lease that the reservation was made on; null if it does not have as much.</summary>
    protected HeldLease? TryReserve(long units, long now)
    {
        Touch(now);
        var held = _current;
        return held.TryReserve(units, now) ? held : null;
    }

    /// <summary>Notes that the account is in use.</summary>
    protected void Touch(long now)
    {
        // Seldom enough that the cores do not take the line from each other at every request.
        if (now - Volatile.Read(ref _usedAt) > TouchMs)
        {
            Volatile.Write(ref _usedAt, now);
        }
    }

    /// <summary>Refills ahead of need, unless that is under way.</summary>
    protected void RefillSoon(HeldLease held, long now)
    {
        if (held.Lease.NeedsRefill(now) && Interlocked.CompareExchange(ref _isRefilling, 1, 0) == 0)
        {
            _ = RefillAsync();
        }

        async Task RefillAsync()
        {
            try
            {
                await RefillOnceAsync(static () => 0);
            }
            catch (Exception)
            {
                // The beat tries again, and a request that finds the lease empty sees the error.
            }
            finally
            {
                Volatile.Write(ref _isRefilling, 0);
            }
        }
    }

    /// <summary>Sends a report and answers the grant; null if the owner limits nothing or does not exist.</summary>
    protected abstract Task<LeaseGrant?> SendAsync(LeaseReport report);

    /// <summary>Called after a grant has been applied.</summary>
    protected virtual void OnRefilled(LeaseGrant grant)
    {
    }

    /// <summary>Reports and takes a grant. <paramref name="atLeast"/> is asked for when it is this message's turn.</summary>
    protected async Task<LeaseGrant?> RefillOnceAsync(Func<long> atLeast)
    {
        await _gate.WaitAsync();
        try
        {
            var least = atLeast();
            LeaseGrant? grant = null;

            // A lease that turns out to have ended is replaced, and the request must not suffer from it.
            for (var attempt = 0; attempt < 2; attempt++)
            {
                var held = _current;
                var report = held.Lease.BuildReport(holder.Name, Clock.Now, least);
                if (held.Lease.IsClosed)
                {
                    held = Replace(held);
                    report = held.Lease.BuildReport(holder.Name, Clock.Now, least);
                }

                held.IsReported = true;
                Volatile.Write(ref _reportedAt, Clock.Now);
                grant = await SendAsync(report);
                if (grant is null)
                {
                    return null;
                }

                held.Lease.Apply(grant, Clock.Now);
                if (!held.Lease.IsClosed)
                {
                    OnRefilled(grant);
                    return grant;
                }

                Replace(held);
            }

            return grant;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Reports at the beat; gives the lease back when it has not been used for a while, or at once if <paramref name="closing"/>.</summary>
    public Task BeatAsync(bool closing)
    {
        // A message that hangs gets no second one behind it.
        if (!closing && _beat is { IsCompleted: false } running)
        {
            return running;
        }

        return _beat = BeatOnceAsync(closing);
    }

    private async Task BeatOnceAsync(bool closing)
    {
        var isIdle = closing || (Clock.Now - Volatile.Read(ref _usedAt) > IdleMs && _current.Open == 0);
        if (isIdle && _current.IsReported)
        {
            await _gate.WaitAsync();
            try
            {
                Replace(_current);
            }
            finally
            {
                _gate.Release();
            }
        }
        else if (!isIdle && Clock.Now - Volatile.Read(ref _reportedAt) >= ReportEveryMs)
        {
            await RefillOnceAsync(static () => 0);
        }

        await ReportRetiredAsync();
    }

    private async Task ReportRetiredAsync()
    {
        HeldLease[] retired;
        lock (_retired)
        {
            if (_retired.Count == 0)
            {
                return;
            }

            retired = [.. _retired];
        }

        await _gate.WaitAsync();
        try
        {
            foreach (var held in retired)
            {
                // Closed before it is asked who is left, or somebody could still begin; and asked before the report is
                // built, so that the report states every settlement.
                held.Lease.BuildReport(holder.Name, Clock.Now, closing: true);
                var isOver = held.Open == 0;
                await SendAsync(held.Lease.BuildReport(holder.Name, Clock.Now, closing: true));
                if (isOver)
                {
                    lock (_retired)
                    {
                        _retired.Remove(held);
                    }
                }
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    private HeldLease Replace(HeldLease held)
    {
        var next = New(holder);
        lock (_retired)
        {
            if (held.IsReported)
            {
                _retired.Add(held);
            }

            _current = next;
        }

        return next;
    }

    private static HeldLease New(LeaseHolderIdentity holder) => new(new EscrowLease(holder.NextLeaseId()));
}
