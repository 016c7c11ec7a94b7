using System.Collections.Immutable;
using OrleansInference.Hosting;
using OrleansInference.Limits;

namespace OrleansInference.Leases;

/// <summary>Money reserved for one request: on a lease of this silo, or (<paramref name="Held"/> is null) in the ledger under an idempotency key, which settles it itself.</summary>
internal readonly record struct MoneyReservation(HeldLease? Held, Money Amount, long At, bool IsLimited)
{
    /// <summary>Ends the reservation; the charge is at most the amount.</summary>
    public void Settle(Money charge) => Held?.Settle(IsLimited ? Amount.Nanos : charge.Nanos, charge.Nanos);
}

/// <summary>A reservation, or when to come back for one and why.</summary>
internal readonly record struct MoneyReply(MoneyReservation? Reservation, long RetryAfterMs, string? Reason = null);

/// <summary>What a tenant's budget covers: the largest charge cap, null if it is not known to be short, and the ledger's account of it.</summary>
internal readonly record struct Affordable(Money? Cap, BudgetShortage? Shortage);

/// <summary>A tenant on this silo: its definition, pacing and money.</summary>
internal sealed class TenantAccount(TenantId tenant, ITenantGrain grain, LeaseHolderIdentity holder, RouterClock clock, long reportEveryMs, Func<TenantId, TenantLimits>? newLimits = null) : LeaseAccount(holder, clock)
{
    private const long FreshMs = 10_000;
    private const long ScarceMs = 1_000;
    private const long LongestWaitMs = 86_400_000;
    private const long ComeBackMs = 1_000;

    // Each round admits somebody or tells that the money is short; this only bounds what cannot happen.
    private const int MaxRounds = 256;

    private readonly ShortageInquiry _inquiry = new(grain);
    private readonly Lock _rounds = new();
    private Round? _next;
    private volatile TenantLease? _lease;
    private volatile Scarcity? _scarcity;
    private Round? _asking;
    private long _freshUntil;
    private volatile bool _wasUnmet;

    /// <summary>Its limits at the door; null if it never had any.</summary>
    public TenantLimits? Limits { get; private set; }

    /// <summary>Who it is.</summary>
    public TenantId Tenant { get; } = tenant;

    /// <summary>The definition; null if there is no such tenant.</summary>
    public TenantDefinition? Definition => _lease?.Tenant;

    /// <summary>Weight of charges in route decisions.</summary>
    public double Pacing => _lease?.Pacing ?? 0;

    /// <summary>Whether what is known of the tenant is recent.</summary>
    public bool IsFresh(long now) => _lease is not null && now < Volatile.Read(ref _freshUntil);

    /// <summary>Asks the tenant's grain, unless what is known is recent.</summary>
    public async Task RefreshAsync()
    {
        Touch(Clock.Now);
        await JoinAsync(0);
    }

    /// <summary>What is known of late of what the budget covers.</summary>
    public Affordable Known(long now) => _scarcity is { } scarcity && now < scarcity.Until ? scarcity.Affordable : default;

    /// <summary>
    /// What the budget covers now, as the ledger says: to be asked before an amount is turned away for what was known earlier.
    /// <paramref name="refused"/> is an amount that the ledger itself has just refused, to which this silo's lease is of no use.
    /// </summary>
    public async Task<Affordable> AskAffordableAsync(Money amount, Money? refused)
    {
        if (await _inquiry.AskAsync(amount) is not { } shortage)
        {
            _scarcity = null;
            return default;
        }

        return Learn(shortage, refused is { } tooMuch && shortage.Available < tooMuch ? tooMuch : null);
    }

    /// <summary>Reserves a charge cap: from the lease, else by asking the tenant's grain for as much, as long as that is of use.</summary>
    /// <param name="amount">The charge cap.</param>
    /// <param name="deadline">When the money is of no use any more, Unix ms.</param>
    /// <param name="cancellationToken">The caller gives up.</param>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public ValueTask<MoneyReply> ReserveAsync(Money amount, long deadline, CancellationToken cancellationToken) =>
        TryReserveHere(amount) is { } reservation ? new(new MoneyReply(reservation, 0)) : AskUntilAsync(amount, deadline, cancellationToken);

    /// <summary>Reserves a charge cap from the lease; null if it does not have as much.</summary>
    public MoneyReservation? TryReserveHere(Money amount)
    {
        var now = Clock.Now;
        if (_lease is { Tenant: not null, Grant: null })
        {
            Touch(now);
            var unlimited = Current;
            unlimited.BeginUnlimited();
            return new(unlimited, amount, now, false);
        }

        if (TryReserve(amount.Nanos, now) is { } held)
        {
            RefillSoon(held, now);
            return new(held, amount, now, true);
        }

        return null;
    }

    /// <summary>A report is a write to storage: what a busy lease tells when it is refilled need not be told by the beat as well.</summary>
    protected override long ReportEveryMs => reportEveryMs;

    protected override async Task<LeaseGrant?> SendAsync(LeaseReport report)
    {
        var lease = await grain.Refill(report);
        if (report.AtLeast > 0 && _asking is { } round)
        {
            round.Shortage = lease.Shortage;
        }

        if (report.LeaseId == Current.Lease.LeaseId || lease.Tenant is null)
        {
            _lease = lease;
            TakeLimits(lease.Tenant?.Limits ?? []);
            Volatile.Write(ref _freshUntil, Clock.Now + FreshMs);
        }

        return lease.Grant;
    }

    private void TakeLimits(ImmutableArray<LimitDefinition> definitions)
    {
        if (Limits is null && definitions.IsDefaultOrEmpty)
        {
            return;
        }

        (Limits ??= newLimits?.Invoke(Tenant))?.Configure(definitions);
    }

    private async ValueTask<MoneyReply> AskUntilAsync(Money amount, long deadline, CancellationToken cancellationToken)
    {
        var asking = AskAsync(amount);
        try
        {
            return await asking.WaitAsync(Clock.ToWall(TimeSpan.FromMilliseconds(Math.Clamp(deadline - Clock.Now, 0, LongestWaitMs))), Clock.TimeProvider, cancellationToken);
        }
        catch (TimeoutException) when (!asking.IsCompleted)
        {
            _ = GiveBackAsync(asking);
            return new(null, ComeBackMs, "the ledger did not answer before the deadline");
        }
        catch (OperationCanceledException) when (!asking.IsCompleted)
        {
            _ = GiveBackAsync(asking);
            throw;
        }
    }

    // What comes too late is nobody's.
    private static async Task GiveBackAsync(Task<MoneyReply> asking)
    {
        try
        {
            (await asking).Reservation?.Settle(Money.Zero);
        }
        catch (Exception)
        {
            // Nothing was reserved.
        }
    }

    private async Task<MoneyReply> AskAsync(Money amount)
    {
        Round round;
        BudgetShortage? shortage = null;
        var rounds = 0;
        do
        {
            round = await JoinAsync(amount.Nanos);
            var now = Clock.Now;
            if (_lease is { Tenant: not null, Grant: null })
            {
                return new(TryReserveHere(amount), 0);
            }

            if (_lease?.Tenant is null)
            {
                return new(null, 0);
            }

            if (TryReserve(amount.Nanos, now) is { } held)
            {
                return new(new(held, amount, now, true), 0);
            }
        }
        while (!await IsShortAsync() && ++rounds < MaxRounds);

        return await LearnShortAsync(amount, round.RetryAfterMs, shortage);

        // It is refused with what the ledger says of this amount; if that has become free meanwhile, it is asked for again.
        async ValueTask<bool> IsShortAsync()
        {
            if (!round.IsUnmet || round.Asked > amount.Nanos)
            {
                return false;
            }

            shortage = round.Shortage?.Amount == amount ? round.Shortage : await _inquiry.AskAsync(amount);
            return shortage is null || shortage.Available < amount;
        }
    }

    /// <summary>Takes note that the amount was refused, and answers when to come back (0: never) and why.</summary>
    public async Task<MoneyReply> LearnShortAsync(Money amount, long retryAfterMs, BudgetShortage? known = null)
    {
        var shortage = known?.Amount == amount ? known : await _inquiry.AskAsync(amount);
        if (shortage is null)
        {
            return new(null, Math.Max(retryAfterMs, ComeBackMs));
        }

        // Other silos' leases may take it meanwhile: what was just refused is not affordable.
        Learn(shortage, shortage.Available < amount ? amount : null);
        return new(null, ComeBackAfter(shortage), shortage.Reason);
    }

    /// <summary>Milliseconds after which to come back for what is short; 0: never.</summary>
    public static long ComeBackAfter(BudgetShortage shortage) => shortage.RetryAfterMs == 0 ? 0 : Math.Max(shortage.RetryAfterMs, ComeBackMs);

    private Affordable Learn(BudgetShortage shortage, Money? tooMuch)
    {
        var cap = Money.Max(Money.Zero, shortage.Available) + Money.FromNanos(Available);
        cap = tooMuch <= cap ? Money.FromNanos(Math.Max(0, tooMuch.Value.Nanos - 1)) : cap;
        var affordable = new Affordable(cap, shortage);
        _scarcity = new(affordable, Clock.Now + ScarceMs);
        return affordable;
    }

    // Requests that wait share a message. It asks for what all of them need; after that was too much, for what the most
    // modest of them needs, so that one large request does not have all refused.
    private Task<Round> JoinAsync(long amount)
    {
        lock (_rounds)
        {
            var round = _next ??= new();
            round.Sum = (long)Math.Min(long.MaxValue / 2, (decimal)round.Sum + amount);
            round.Least = amount > 0 ? Math.Min(round.Least, amount) : round.Least;
            return round.Run ??= RunAsync(round);
        }
    }

    private async Task<Round> RunAsync(Round round)
    {
        await Task.Yield();
        var grant = await RefillOnceAsync(() =>
        {
            lock (_rounds)
            {
                _next = null;
                _asking = round;
                round.Asked = _wasUnmet ? Math.Min(round.Least, round.Sum) : round.Sum;
                return round.Asked;
            }
        });
        round.RetryAfterMs = grant?.RetryAfterMs ?? 0;

        // By the ledger's word alone: what it granted may be gone already, to those who did not have to ask.
        round.IsUnmet = grant is not null && (grant.RetryAfterMs > 0 || round.Shortage is not null);
        _wasUnmet = round.IsUnmet;
        return round;
    }

    private sealed class Round
    {
        public Task<Round>? Run;
        public long Sum;
        public long Least = long.MaxValue;
        public long Asked;
        public long RetryAfterMs;
        public BudgetShortage? Shortage;
        public bool IsUnmet;
    }

    private sealed record Scarcity(Affordable Affordable, long Until);
}
