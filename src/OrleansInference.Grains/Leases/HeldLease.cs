using OrleansInference.Budgets;

namespace OrleansInference.Leases;

/// <summary>A lease of this silo, and whether its owner knows of it.</summary>
internal sealed class HeldLease(EscrowLease lease)
{
    public EscrowLease Lease { get; } = lease;

    /// <summary>Whether the owner has been told of it.</summary>
    public bool IsReported { get; set; }

    /// <summary>Reservations that have not been settled.</summary>
    public long Open => Lease.Open;

    public bool TryReserve(long units, long now) => Lease.TryReserve(units, now);

    /// <summary>Begins a use without a limit: what it charges is only counted.</summary>
    public void BeginUnlimited() => Lease.BeginUnlimited();

    public void Settle(long reserved, long charged) => Lease.Settle(reserved, charged);
}
