namespace OrleansInference.Budgets;

/// <summary>The protocol of <see cref="EscrowLease"/>, over cells whose steps a test may watch.</summary>
/// <remarks>
/// Conservation: granted = available + reserved + settled + returned, where units move by single atomic steps: taken from
/// a cell before they count as returned, counted as settled before the rest of a reservation is back in a cell. So what
/// a report states as settled and returned is never more than what is true, and what the owner takes to be outstanding
/// is never less than what can still be spent.
/// </remarks>
internal sealed class LeaseHolder<TStep>
    where TStep : struct, ILeaseStep
{
    private readonly Lock _reporting = new();
    private readonly LeaseCells<TStep> _cells;
    private readonly DemandMeter _demand = new();
    private readonly long _skewMs;
    private long _spendBefore;
    private long _granted;
    private long _returned;
    private long _keep = long.MaxValue;
    private long _lowWater;
    private int _fenced;

    public LeaseHolder(long leaseId, long skewMs, int cells, TStep step)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(leaseId, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(skewMs);
        LeaseId = leaseId;
        _skewMs = skewMs;
        _cells = new(cells, step);
    }

    public long LeaseId { get; }

    public bool IsFenced => Volatile.Read(ref _fenced) != 0;

    public bool IsClosed => _cells.IsClosed;

    public long Available => _cells.Available();

    public long Settled => _cells.Settled();

    public long Open => _cells.Open();

    public bool TryReserve(long amount, long now)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(amount);
        var local = _cells.Local();
        _cells.Ask(local, amount);
        if (now < Volatile.Read(ref _spendBefore) && _cells.TryTake(local, amount))
        {
            return true;
        }

        _cells.End(local);
        return false;
    }

    public void BeginUnlimited() => _cells.Ask(_cells.Local(), 0);

    public void Settle(long reserved, long charged)
    {
        if (charged < 0 || charged > reserved)
        {
            ThrowCharge(reserved, charged);
        }

        var local = _cells.Local();
        if (charged > 0)
        {
            _cells.Settle(local, charged);
        }

        if (charged < reserved)
        {
            _cells.Put(local, reserved - charged);
        }

        _cells.End(local);
    }

    public bool NeedsRefill(long now)
    {
        if (IsClosed)
        {
            return false;
        }

        var low = Volatile.Read(ref _lowWater);
        return now >= Volatile.Read(ref _spendBefore) || (_cells.AvailableIn(_cells.Local()) < low / _cells.Count && _cells.Available() < low);
    }

    public LeaseReport BuildReport(string holder, long now, long atLeast, bool closing)
    {
        lock (_reporting)
        {
            var (asked, times) = _cells.Asked();
            _demand.Observe(asked, times, now);
            if (closing || HasLapsed(now))
            {
                Close();
            }

            var wanted = IsClosed ? 0 : Math.Max(_demand.Wanted, atLeast);
            if (IsClosed)
            {
                _returned += _cells.Drain();
            }
            else
            {
                // What a waiting request needs is not given back just before it is asked for; below that it is of no use here.
                var available = _cells.Available();
                var surplus = available - Math.Max(_keep, atLeast <= available ? atLeast : 0);
                if (surplus > 0)
                {
                    _returned += _cells.TakeUpTo(_cells.Local(), surplus);
                }
            }

            // Both sums only rise once the cells are closed, and reach what was granted when the last reservation has ended.
            var left = _cells.Available();
            var settled = _cells.Settled();
            var pending = Math.Max(0, _granted - _returned - settled - left);
            return new()
            {
                Holder = holder,
                LeaseId = LeaseId,
                Settled = settled,
                Returned = _returned,
                Pending = pending,
                Wanted = wanted,
                AtLeast = IsClosed ? 0 : atLeast,
                Closing = IsClosed && _granted == _returned + settled,
                DemandPerSecond = _demand.PerSecond,
            };
        }
    }

    public void Apply(LeaseGrant grant, long now)
    {
        ArgumentNullException.ThrowIfNull(grant);
        if (grant.LeaseId != LeaseId)
        {
            return;
        }

        lock (_reporting)
        {
            // An owner that knows of less than we were granted has forgotten this lease, and counts it elsewhere by now.
            if (grant.Fenced || (grant.Granted < _granted && grant.SpendUntil - _skewMs > _spendBefore))
            {
                Volatile.Write(ref _fenced, 1);
                Close();
            }
            else if (HasLapsed(now))
            {
                Close();
            }

            // Units of a closed lease stay out: the owner takes them back when the closing report says that nothing is pending.
            if (IsClosed || grant.Granted > LeaseCells<TStep>.MaxUnits)
            {
                return;
            }

            _keep = grant.Keep;
            if (grant.SpendUntil - _skewMs > _spendBefore)
            {
                Volatile.Write(ref _spendBefore, grant.SpendUntil - _skewMs);
            }

            if (grant.Granted > _granted)
            {
                var units = grant.Granted - _granted;
                _granted = grant.Granted;
                _cells.Spread(units, _demand.Mean);
            }

            // Ahead of need; and if the owner gave less than wanted, only when half of that is gone, so that a scarce
            // budget does not cause a call per request.
            Volatile.Write(ref _lowWater, Math.Min(_demand.Wanted, _cells.Available()) / 2);
        }
    }

    // Once its time was over the owner may have counted it as spent and forgotten it: no later grant revives it.
    private bool HasLapsed(long now) => _spendBefore > 0 && now >= _spendBefore;

    private void Close()
    {
        if (!_cells.IsClosed)
        {
            _cells.Close();
        }
    }

    private static void ThrowCharge(long reserved, long charged) =>
        throw new ArgumentOutOfRangeException(nameof(charged), charged, $"A charge must be between 0 and the {reserved} units reserved.");
}
