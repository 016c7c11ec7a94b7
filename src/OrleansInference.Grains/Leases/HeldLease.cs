using OrleansInference.Budgets;

namespace OrleansInference.Leases;

/// <summary>A lease of this silo with a count of the reservations on it, so that it is known when the last has ended.</summary>
internal sealed class HeldLease(EscrowLease lease)
{
    private int _open;

    public EscrowLease Lease { get; } = lease;

    /// <summary>Whether the owner has been told of it.</summary>
    public bool IsReported { get; set; }

    /// <summary>Reservations that have not been settled.</summary>
    public int Open => Volatile.Read(ref _open);

    public bool TryReserve(long units, long now)
    {
        Interlocked.Increment(ref _open);
        if (Lease.TryReserve(units, now))
        {
            return true;
        }

        Interlocked.Decrement(ref _open);
        return false;
    }

    /// <summary>Begins a use without a limit: what it charges is only counted.</summary>
    public void BeginUnlimited() => Interlocked.Increment(ref _open);

    public void Settle(long reserved, long charged)
    {
        Lease.Settle(reserved, charged);
        Interlocked.Decrement(ref _open);
    }
}
