namespace OrleansInference.Leases;

/// <summary>This silo as a holder of leases: its address carries its incarnation. Numbers its leases.</summary>
internal sealed class LeaseHolderIdentity(ILocalSiloDetails silo)
{
    private long _lastLease;

    public string Name { get; } = silo.SiloAddress.ToString();

    public long NextLeaseId() => Interlocked.Increment(ref _lastLease);
}
