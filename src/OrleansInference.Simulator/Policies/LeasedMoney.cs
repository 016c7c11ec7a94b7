using OrleansInference.Budgets;

namespace OrleansInference.Simulator.Policies;

/// <summary>A silo's leases of the tenant's money: the one that is spent from, and those before it that have not been given back yet.</summary>
internal sealed class LeasedMoney(TenantLedger ledger, string holder)
{
    // How long a lease that nothing is spent from is kept.
    private const long IdleMs = 30_000;

    private readonly List<EscrowLease> _retired = [];
    private EscrowLease? _lease;
    private long _number;
    private long _usedAt;

    public long Available => _lease?.Available ?? 0;

    public EscrowLease? TryReserve(long units, long now)
    {
        _usedAt = now;
        if (_lease is null || !_lease.TryReserve(units, now))
        {
            Refill(units, now);
            return _lease!.TryReserve(units, now) ? _lease : null;
        }

        var reservedOn = _lease;
        if (_lease.NeedsRefill(now))
        {
            Refill(0, now);
        }

        return reservedOn;
    }

    public void Poll(long now)
    {
        if (_lease is not null && now - _usedAt >= IdleMs)
        {
            Retire();
        }
        else if (_lease is not null)
        {
            Refill(0, now);
        }

        _retired.RemoveAll(lease => Report(lease, 0, now, closing: true));
    }

    private void Refill(long atLeast, long now)
    {
        _lease ??= Next();
        Report(_lease, atLeast, now, closing: false);
        if (_lease.IsClosed)
        {
            // Its time was over before it was renewed.
            Retire();
            _lease = Next();
            Report(_lease, atLeast, now, closing: false);
        }
    }

    private void Retire()
    {
        _retired.Add(_lease!);
        _lease = null;
    }

    // One cell: which core asks is nothing that a course of events may depend on.
    private EscrowLease Next() => new(++_number, cells: 1);

    /// <summary>Tells the ledger what was spent, and takes what it grants; whether nothing of the lease is left to be told.</summary>
    private bool Report(EscrowLease lease, long atLeast, long now, bool closing)
    {
        var report = lease.BuildReport(holder, now, atLeast, closing);
        if (ledger.Refill(report, now) is { } grant)
        {
            lease.Apply(grant, now);
        }

        return report.Closing;
    }
}
