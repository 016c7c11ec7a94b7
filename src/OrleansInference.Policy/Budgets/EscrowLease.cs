namespace OrleansInference.Budgets;

/// <summary>
/// The holder's side of an escrow lease: money or slots that one silo may spend without asking. Any number of threads
/// reserve and settle at the same time, without locks and without allocating; <see cref="BuildReport"/> and
/// <see cref="Apply"/> keep it filled. A lease that was closed or fenced, or whose time ran out before it was renewed,
/// never opens again (<see cref="IsClosed"/>): begin another with the next number, and go on reporting this one until its
/// report is <see cref="LeaseReport.Closing"/> and was answered.
/// </summary>
public sealed class EscrowLease
{
    private const int MaxCells = 16;

    private readonly LeaseHolder<Unwatched> _holder;

    /// <summary>Begins an empty lease.</summary>
    /// <param name="leaseId">Its number within the holder, 1 or more; each new one is higher.</param>
    /// <param name="skewMs">The most by which clocks differ, in milliseconds: spending stops so much before the time that the owner stated.</param>
    /// <param name="cells">How many cells to spread it over; 0 for one per core, at most 16.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public EscrowLease(long leaseId, long skewMs = 2_000, int cells = 0) =>
        _holder = new(leaseId, skewMs, cells == 0 ? Math.Min(Environment.ProcessorCount, MaxCells) : cells, default);

    /// <summary>Its number within the holder.</summary>
    public long LeaseId => _holder.LeaseId;

    /// <summary>Whether the owner no longer honours it.</summary>
    public bool IsFenced => _holder.IsFenced;

    /// <summary>Whether nothing can be reserved from it any more, because it was closed, fenced or not renewed in time.</summary>
    public bool IsClosed => _holder.IsClosed;

    /// <summary>Units that could be reserved now.</summary>
    public long Available => _holder.Available;

    /// <summary>Units spent for good since it began.</summary>
    public long Settled => _holder.Settled;

    /// <summary>Reservations that have not been settled or released; never too few, for an instant too many.</summary>
    public long Open => _holder.Open;

    /// <summary>
    /// Reserves units; false if there are not enough, the time is over, or the lease was closed. May fail for an amount
    /// that is just there while other threads reserve too. Each success is ended by one <see cref="Settle"/> or <see cref="Release"/>.
    /// </summary>
    /// <param name="amount">Units, 0 or more.</param>
    /// <param name="now">The holder's time, Unix ms: the moment at which a charge counts in budget windows.</param>
    public bool TryReserve(long amount, long now) => _holder.TryReserve(amount, now);

    /// <summary>Begins a use without a limit, of an owner that has none: what <see cref="Settle"/> charges in the end is only counted.</summary>
    public void BeginUnlimited() => _holder.BeginUnlimited();

    /// <summary>Ends a reservation: <paramref name="charged"/> is spent for good, the rest is available again.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The charge is negative or above what was reserved.</exception>
    public void Settle(long reserved, long charged) => _holder.Settle(reserved, charged);

    /// <summary>Ends a reservation without a charge.</summary>
    public void Release(long reserved) => _holder.Settle(reserved, 0);

    /// <summary>Whether it is time to report and be refilled, ahead of need; cheap enough to ask after each reservation.</summary>
    public bool NeedsRefill(long now) => _holder.NeedsRefill(now);

    /// <summary>
    /// What to tell the owner now. Gives back what is above the owner's bound first. With <paramref name="closing"/>
    /// nothing can be reserved any more; the report is a closing one as soon as no reservation is under way.
    /// </summary>
    /// <param name="holder">The silo and its incarnation.</param>
    /// <param name="now">The holder's time, Unix ms.</param>
    /// <param name="atLeast">Units that the first waiting request needs; 0 if none waits.</param>
    /// <param name="closing">Whether to close the lease.</param>
    public LeaseReport BuildReport(string holder, long now, long atLeast = 0, bool closing = false) => _holder.BuildReport(holder, now, atLeast, closing);

    /// <summary>Takes the owner's answer. One that is late, repeated or about another lease does no harm.</summary>
    public void Apply(LeaseGrant grant, long now) => _holder.Apply(grant, now);
}
