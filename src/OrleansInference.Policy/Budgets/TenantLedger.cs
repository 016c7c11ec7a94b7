namespace OrleansInference.Budgets;

/// <summary>
/// A tenant's budget: every window, the leases on it and the direct reservations. What is granted here never exceeds a
/// window's limit, wherever and whenever it is spent (<see cref="SpendBook"/> says why). Not thread-safe. The owner
/// stores <see cref="ToState"/> before it answers: what it has not stored has not happened. Most reservations are in pages that it stores apart:
/// those that <see cref="TakePages"/> gave, once the state of that moment is durable.
/// </summary>
public sealed partial class TenantLedger
{
    // Beyond it reservations are expected back by the time they leave the window, which is not searched for one by one.
    private const int MostReservationsFreed = 10_000;

    private readonly Escrow _escrow;
    private readonly SpendBook _book;
    private readonly Reservations _reservations;
    private readonly BudgetAlerts _alerts;
    private readonly long _skewMs;
    private TenantDefinition _definition;
    private long _now;
    private double _recent;
    private long _recentAt;

    /// <summary>Begins a ledger, or takes up one that was stored.</summary>
    /// <exception cref="ArgumentException">The definition breaks a rule; see <see cref="Problems"/>.</exception>
    /// <exception cref="InvalidDataException">The stored state is damaged.</exception>
    public TenantLedger(
        TenantDefinition definition,
        TenantLedgerState? state = null,
        EscrowOptions? options = null,
        IEnumerable<HeldJob>? held = null,
        IReadOnlyList<ReservationPage>? pages = null)
        : this(definition, state, options, held, pages, new())
    {
    }

    /// <summary>A ledger whose pages have sizes of their own.</summary>
    internal TenantLedger(
        TenantDefinition definition,
        TenantLedgerState? state,
        EscrowOptions? options,
        IEnumerable<HeldJob>? held,
        IReadOnlyList<ReservationPage>? pages,
        ReservationPages layout)
    {
        Require(definition);
        options ??= EscrowOptions.Money;
        _skewMs = options.SkewMs;
        _definition = definition;
        _escrow = new(options, state?.Escrow);
        _book = new(_skewMs, state?.Settled, state?.Unreported, state?.Reserved);
        _reservations = new(pages ?? [], state?.Reservations ?? [], state?.Now ?? 0, layout);
        _alerts = new(state?.Alerts);
        _held = new(held);
        _book.Configure(definition.Budgets, definition.TimeZone);
        if (state is not null)
        {
            (Version, _now) = (state.Version, state.Now);
            (SettledTotal, UnreportedTotal) = (Money.FromNanos(state.SettledTotal), Money.FromNanos(state.UnreportedTotal));
            (_recent, _recentAt) = (state.Recent, state.RecentAt);
        }
    }

    /// <summary>The tenant as it was last configured.</summary>
    public TenantDefinition Definition => _definition;

    /// <summary>Counts up with every change of what <see cref="ToState"/> would store.</summary>
    public long Version { get; private set; }

    /// <summary>Final charges since the ledger began.</summary>
    public Money SettledTotal { get; private set; }

    /// <summary>Money never accounted for by holders that vanished and by reservations that ran out, since the ledger began.</summary>
    public Money UnreportedTotal { get; private set; }

    /// <summary>Whether any window limits the tenant.</summary>
    public bool IsLimited => _book.Limited;

    /// <summary>Whether leases are out, which may run out as time passes.</summary>
    public bool HasLeases => _escrow.Leases.Count > 0;

    /// <summary>The ledger as it is to be stored.</summary>
    public TenantLedgerState ToState()
    {
        var escrow = _escrow.ToState();
        return new()
        {
            Version = Version,
            Now = _now,
            SettledTotal = SettledTotal.Nanos,
            UnreportedTotal = UnreportedTotal.Nanos,
            Settled = _book.Settled.ToArray(),
            Unreported = _book.Unreported.ToArray(),
            Reserved = _book.Reserved.ToArray(),
            Escrow = escrow.Leases.Count + escrow.Ended.Count == 0 ? null : escrow,
            Reservations = _reservations.Pages.Changed,
            Pages = _reservations.Pages.Count,
            Alerts = _alerts.ToList(),
            Recent = _recent,
            RecentAt = _recentAt,
        };
    }

    /// <summary>Whether pages must be stored before anything else is reserved or settled, so that the state stays small.</summary>
    public bool MustStorePages => _reservations.Pages.IsFull;

    /// <summary>How many pages reservations have been given: before the owner writes a state, it must know by what the pages are fenced.</summary>
    public int AllocatedPages => _reservations.Pages.Allocated;

    /// <summary>
    /// Pages that the owner is to write as soon as the state as it is now is durable, not before; <see cref="PagesStored"/> tells when they are, and until
    /// then there are no others. None while too little has changed.
    /// </summary>
    public IReadOnlyList<ReservationPage> TakePages() => _reservations.TakePages();

    /// <summary>The pages that were taken are durable: the state repeats what is in them no longer.</summary>
    public void PagesStored() => _reservations.Pages.Stored();

    /// <summary>
    /// Changes the definition. What was counted stays counted; a window that is new finds what is known of the time
    /// before, at least as much as was spent. A lower limit holds at once for what is not yet leased or reserved.
    /// </summary>
    /// <exception cref="ArgumentException">The definition breaks a rule; see <see cref="Problems"/>.</exception>
    public void Configure(TenantDefinition definition, long now)
    {
        Require(definition);
        Tick(now);
        _definition = definition;
        _book.Configure(definition.Budgets, definition.TimeZone);
        Version++;
        Serve();
        Alert(refused: false);
    }

    /// <summary>Takes a holder's report and grants what it may have; null if the tenant has no limit.</summary>
    /// <exception cref="ArgumentException">The report is malformed.</exception>
    public LeaseGrant? Refill(LeaseReport report, long now)
    {
        ArgumentNullException.ThrowIfNull(report);
        Tick(now);
        Version++;
        if (!_book.Limited)
        {
            Book(_escrow.Count(report, _now), _book.Label(_now));
            return null;
        }

        Serve();
        var reply = _escrow.Report(report, _now, _book.Available(_escrow.Outstanding, _now), setAside: _isSaving);
        var label = _book.Label(_now);
        if (reply.Corrected > 0)
        {
            var counted = BudgetWindow.ToSeconds(reply.CorrectedAt);
            _book.Unreported.Remove(counted, reply.Corrected);
            UnreportedTotal -= Money.FromNanos(reply.Corrected);
            label = reply.Settled <= reply.Corrected ? counted : label;
        }

        Book(reply.Settled, label);
        Version++;
        Serve();
        Alert(reply.Unmet > 0);
        return reply.Unmet > 0 && reply.Grant.RetryAfterMs == 0
            ? reply.Grant with { RetryAfterMs = RetryAfterMs(Wanted(report.AtLeast), _now) ?? 0 }
            : reply.Grant;
    }

    /// <summary>
    /// Reserves <paramref name="amount"/> under an id until <paramref name="expiresAt"/> (Unix ms). Repeating it changes
    /// nothing and answers alike while the reservation is open. If it has not been settled by then, it counts as spent.
    /// </summary>
    /// <exception cref="ArgumentException">The id is empty or too long, or the amount negative.</exception>
    public ReservationReply Reserve(string id, Money amount, long expiresAt, long now)
    {
        if (string.IsNullOrEmpty(id) || id.Length > 256)
        {
            throw new ArgumentException("A reservation's id must have 1 to 256 characters.", nameof(id));
        }

        if (amount.IsNegative)
        {
            throw new ArgumentException($"Reservation '{id}': {amount} $ is negative.", nameof(amount));
        }

        Tick(now);
        if (_reservations.Find(id) is { } known)
        {
            return known.Status == ReservationStatus.Pending
                ? new() { Granted = true, AdmittedAt = known.AdmittedAt }
                : new() { Reason = $"reservation '{id}' has already ended" };
        }

        if (expiresAt <= _now)
        {
            return new() { Reason = $"reservation '{id}' would expire before it begins" };
        }

        if (_reservations.Pending >= Reservations.MaxPending)
        {
            return new() { Reason = $"{Reservations.MaxPending} reservations are open", RetryAfterMs = 1000 };
        }

        Serve();
        if (_isSaving || amount.Nanos > _book.Available(_escrow.Outstanding, _now))
        {
            Alert(refused: true);
            if (!_isSaving)
            {
                _escrow.Await(amount.Nanos, _now);
            }

            var shortage = Shortage(amount, now);
            return new() { RetryAfterMs = shortage.RetryAfterMs, Reason = shortage.Reason, Shortage = shortage };
        }

        Put(id, amount.Nanos, expiresAt);
        Alert(refused: false);
        return new() { Granted = true, AdmittedAt = _now };
    }

    /// <summary>
    /// Ends a reservation with its charge; zero releases it. The charge counts at the moment of the admission. One that
    /// ran out is corrected as long as it is remembered.
    /// </summary>
    /// <exception cref="ArgumentException">The charge is negative.</exception>
    public SettleOutcome Settle(string id, Money charge, long now)
    {
        ArgumentNullException.ThrowIfNull(id);
        if (charge.IsNegative)
        {
            throw new ArgumentException($"Reservation '{id}': a charge of {charge} $ is negative.", nameof(charge));
        }

        Tick(now);
        Version += _held.Remove(id) ? 1 : 0;
        if (_reservations.Find(id) is not { } reservation)
        {
            Serve();
            return SettleOutcome.Unknown;
        }

        if (reservation.Status is ReservationStatus.Settled or ReservationStatus.Released)
        {
            return SettleOutcome.Repeated;
        }

        var label = _book.Label(reservation.AdmittedAt);
        if (reservation.Status == ReservationStatus.Expired)
        {
            _book.Unreported.Remove(label, reservation.Amount);
            UnreportedTotal -= Money.FromNanos(reservation.Amount);
        }
        else
        {
            _book.Reserved.Remove(label, reservation.Amount);
        }

        var charged = Math.Min(charge.Nanos, reservation.Amount);
        _reservations.Put(reservation with { Charge = charged, Status = charged > 0 ? ReservationStatus.Settled : ReservationStatus.Released });
        Book(charged, label);
        Version++;
        Serve();
        Alert(refused: false);
        return charge.Nanos > reservation.Amount ? SettleOutcome.Clamped : SettleOutcome.Settled;
    }

    /// <summary>How a reservation has ended; null if none of that id is remembered.</summary>
    public EndedReservation? FindEnded(string id) => _reservations.Find(id) is { Status: ReservationStatus.Settled or ReservationStatus.Released } ended
        ? new() { Amount = Money.FromNanos(ended.Amount), Charge = Money.FromNanos(ended.Charge), AdmittedAt = ended.AdmittedAt }
        : null;

    /// <summary>Lets time pass: leases and reservations run out. Call it now and then, at least every few seconds while leases are out.</summary>
    public void Tick(long now)
    {
        _now = Math.Max(_now, now);
        foreach (var lease in _escrow.Expire(_now))
        {
            _book.Record(_book.Unreported, BudgetWindow.ToSeconds(lease.CountedAt), lease.Units, _now);
            UnreportedTotal += Money.FromNanos(lease.Units);
            Version++;
        }

        foreach (var reservation in _reservations.Expire(_now))
        {
            var label = _book.Label(reservation.AdmittedAt);
            _book.Reserved.Remove(label, reservation.Amount);
            _book.Record(_book.Unreported, label, reservation.Amount, _now);
            UnreportedTotal += Money.FromNanos(reservation.Amount);
            Version++;
        }
    }

    /// <summary>Renews no lease of a holder that is believed dead. Its money stays out until the leases have run out.</summary>
    public void Fence(string holder)
    {
        _escrow.Fence(holder);
        Version++;
    }

    /// <summary>Thresholds reached since the last call, each once per period of its window.</summary>
    public IReadOnlyList<BudgetAlert> TakeAlerts() => _alerts.Take();

    /// <summary>
    /// Milliseconds until an amount fits every window if nobody else spends: 0 now, null never. Exact where only spent money
    /// is in the way. Money on leases is taken to be back with the holder's next report, what requests under way hold by the
    /// end of the lease, and a job's reservation by its expiry; of more than 10,000 reservations, when they leave the window.
    /// </summary>
    public long? RetryAfterMs(Money amount, long now)
    {
        Tick(now);
        return RetryAfterMs(Wanted(amount.Nanos), _now);
    }

    // Who comes while it is saved for held jobs is served after them.
    private long Wanted(long amount) => _isSaving ? Behind(amount, static _ => true) : amount;

    private long? RetryAfterMs(long amount, long now) => !_book.Limited ? 0 : Fits(amount) is { } fits ? Math.Max(0, fits.At - now) : null;

    private SpendBook.Fit? Fits(long amount) => _book.FitsAt(amount, _escrow.Outstanding, _now, Version, (window, frees) =>
    {
        foreach (var lease in _escrow.Leases)
        {
            if (lease.Fenced || _now >= lease.SpendUntil)
            {
                // Nobody can be relied on to report it: it counts as spent when its time is over.
                frees.Add(new(window.LeavesAt(_book.CellOf(BudgetWindow.ToSeconds(lease.SpendUntil + _skewMs)).End), lease.Outstanding, false));
                continue;
            }

            var report = lease.SpendUntil - _escrow.Options.LeaseMs + _escrow.Options.ReportMs;
            frees.Add(new(report > _now ? report : lease.SpendUntil, lease.Free, true));
            frees.Add(new(lease.SpendUntil, lease.Outstanding - lease.Free, true));
        }

        if (_reservations.Pending > MostReservationsFreed)
        {
            SpendBook.AddLeaving(_book.Reserved, window, _now, frees);
            return;
        }

        var after = window.CountsAfter(_now);
        foreach (var reservation in _reservations.All)
        {
            var end = _book.CellOf(_book.Label(reservation.AdmittedAt)).End;
            if (reservation.Status == ReservationStatus.Pending && end > after)
            {
                var leaves = window.LeavesAt(end);
                frees.Add(new(Math.Min(leaves, reservation.ExpiresAt), reservation.Amount, reservation.ExpiresAt < leaves));
            }
        }
    });

    private void Put(string id, long amount, long expiresAt)
    {
        _reservations.Put(new() { Id = id, Amount = amount, AdmittedAt = _now, ExpiresAt = expiresAt });
        _book.Record(_book.Reserved, _book.Label(_now), amount, _now);
        _held.Remove(id);
        Version++;
    }

    private void Book(long charge, uint label)
    {
        if (charge > 0)
        {
            _book.Record(_book.Settled, label, charge, _now);
            SettledTotal += Money.FromNanos(charge);
            (_recent, _recentAt) = (BudgetForecast.Fade(_recent, _recentAt, _now) + charge, _now);
        }
    }

    private void Alert(bool refused) => Version += _alerts.Update(_definition, _book, refused, _now) ? 1 : 0;
}
