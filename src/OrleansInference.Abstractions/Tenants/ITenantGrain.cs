using System.Collections.Immutable;

namespace OrleansInference;

/// <summary>What a silo learns about a tenant together with each lease.</summary>
[GenerateSerializer, Immutable, Alias("oi.TenantLease")]
public sealed record TenantLease
{
    /// <summary>The tenant as configured; null: no such tenant.</summary>
    [Id(0)] public TenantDefinition? Tenant { get; init; }

    /// <summary>Counts up with every change of the definition.</summary>
    [Id(1)] public long Version { get; init; }

    /// <summary>The grant; null if the tenant has no budget and so no limit.</summary>
    [Id(2)] public LeaseGrant? Grant { get; init; }

    /// <summary>Weight of the tenant's charges in route decisions, 0 or more: above 0 when spend runs ahead of pace.</summary>
    [Id(3)] public double Pacing { get; init; }

    /// <summary>Why less was granted than a waiting request needs; null if enough was.</summary>
    [Id(4)] public BudgetShortage? Shortage { get; init; }
}

/// <summary>A reservation made directly in the ledger, for work that outlives a lease.</summary>
[GenerateSerializer, Immutable, Alias("oi.ReservationReply")]
public sealed record ReservationReply
{
    /// <summary>Whether the amount is now reserved.</summary>
    [Id(0)] public bool Granted { get; init; }

    /// <summary>If refused: milliseconds until it may succeed; 0 if it never will.</summary>
    [Id(1)] public long RetryAfterMs { get; init; }

    /// <summary>If refused: which budget does not allow it.</summary>
    [Id(2)] public string? Reason { get; init; }

    /// <summary>If granted: Unix ms at which the charge counts in budget windows, by the ledger's clock; what the audit log states as the time of the reservation.</summary>
    [Id(3)] public long AdmittedAt { get; init; }

    /// <summary>If refused for lack of money: what there is, in figures of that moment.</summary>
    [Id(4)] public BudgetShortage? Shortage { get; init; }
}

/// <summary>A job or a batch that is to wait for its tenant's budget.</summary>
[GenerateSerializer, Immutable, Alias("oi.HoldRequest")]
public sealed record HoldRequest
{
    /// <summary>Id of the reservation that is made for it. It tells whose it is: of a job the key of its grain, a slash, and when it was accepted; of a batch <c>batches/</c>, the key of its grain, a slash, and its upload.</summary>
    [Id(0)] public required string ReservationId { get; init; }

    /// <summary>What it needs.</summary>
    [Id(1)] public required Money Amount { get; init; }

    /// <summary>Unix ms of its deadline.</summary>
    [Id(2)] public required long Deadline { get; init; }

    /// <summary>Unix ms until which its reservation is kept.</summary>
    [Id(3)] public required long ExpiresAt { get; init; }

    /// <summary>Its class.</summary>
    [Id(4)] public required TrafficClass Class { get; init; }
}

/// <summary>How a job that waits for its tenant's budget stands.</summary>
[GenerateSerializer, Immutable, Alias("oi.HoldReply")]
public sealed record HoldReply
{
    /// <summary>Whether it waits, or has its reservation; false: as many wait as may.</summary>
    [Id(0)] public required bool IsHeld { get; init; }

    /// <summary>If it has its reservation: Unix ms at which its charge counts; 0: it waits.</summary>
    [Id(1)] public long AdmittedAt { get; init; }

    /// <summary>If it waits: milliseconds until its turn, if nobody spends who is not before it; 0: never, as it stands.</summary>
    [Id(2)] public long ExpectedMs { get; init; }
}

/// <summary>A reservation that has ended, by this call or before.</summary>
[GenerateSerializer, Immutable, Alias("oi.EndedReservation")]
public sealed record EndedReservation
{
    /// <summary>What was reserved.</summary>
    [Id(0)] public required Money Amount { get; init; }

    /// <summary>What was charged; zero: it was released.</summary>
    [Id(1)] public required Money Charge { get; init; }

    /// <summary>Unix ms at which a charge counts in budget windows, by the ledger's clock.</summary>
    [Id(2)] public required long AdmittedAt { get; init; }
}

/// <summary>
/// One budget window as it stands. Each part of the money is counted once:
/// limit + <see cref="OverLimit"/> = <see cref="Settled"/> + <see cref="Unreported"/> + <see cref="Reserved"/> + <see cref="Leased"/> + <see cref="Available"/>.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.BudgetWindowView")]
public sealed record BudgetWindowView
{
    /// <summary>The window as configured.</summary>
    [Id(0)] public required BudgetWindowDefinition Window { get; init; }

    /// <summary>Final charges inside the window.</summary>
    [Id(1)] public Money Settled { get; init; }

    /// <summary>What holders that vanished and reservations that ran out never accounted for, inside the window: it counts as spent.</summary>
    [Id(2)] public Money Unreported { get; init; }

    /// <summary>What could still be granted now.</summary>
    [Id(3)] public Money Available { get; init; }

    /// <summary>
    /// When what is counted longest stops to count: for a rolling window as it leaves, for a calendar window 2 seconds after
    /// the period's end, because a silo whose clock is that much behind may still spend in it. Null if nothing is counted.
    /// </summary>
    [Id(4)] public DateTimeOffset? FreesAt { get; init; }

    /// <summary>When the window runs out at the present rate; null if it does not.</summary>
    [Id(5)] public DateTimeOffset? ExhaustedAt { get; init; }

    /// <summary>Reserved inside the window by jobs that have not ended.</summary>
    [Id(6)] public Money Reserved { get; init; }

    /// <summary>Out on leases; counts in every window.</summary>
    [Id(7)] public Money Leased { get; init; }

    /// <summary>Part of <see cref="OverLimit"/> that is not spent but leased or reserved: so much may still be charged beyond the limit, if it is not given back.</summary>
    [Id(8)] public Money BeyondLimit { get; init; }

    /// <summary>Recent spend over the rate at which the window would just last: above 1 is ahead of pace.</summary>
    [Id(9)] public double Pace { get; init; }

    /// <summary>Alert thresholds reached in the present period, in percent.</summary>
    [Id(10)] public ImmutableArray<int> Alerts { get; init; } = [];

    /// <summary>By how much the parts exceed the limit; above zero only after it was lowered below what was spent and out.</summary>
    [Id(11)] public Money OverLimit { get; init; }
}

/// <summary>What one silo holds of a tenant's money.</summary>
[GenerateSerializer, Immutable, Alias("oi.LeaseView")]
public sealed record LeaseView
{
    /// <summary>The holder.</summary>
    [Id(0)] public required string Holder { get; init; }

    /// <summary>Granted and neither reported as spent nor given back.</summary>
    [Id(1)] public Money Outstanding { get; init; }

    /// <summary>Part of it reserved by requests under way, as last reported.</summary>
    [Id(2)] public Money Pending { get; init; }

    /// <summary>When the holder must stop spending.</summary>
    [Id(3)] public DateTimeOffset SpendUntil { get; init; }
}

/// <summary>A tenant's budget as it stands.</summary>
[GenerateSerializer, Immutable, Alias("oi.BudgetView")]
public sealed record BudgetView
{
    /// <summary>The tenant.</summary>
    [Id(0)] public required TenantId Tenant { get; init; }

    /// <summary>Every window; empty if the tenant has no limit.</summary>
    [Id(1)] public ImmutableArray<BudgetWindowView> Windows { get; init; } = [];

    /// <summary>Final charges since the ledger began.</summary>
    [Id(2)] public Money SettledTotal { get; init; }

    /// <summary>Reserved directly by jobs that have not ended.</summary>
    [Id(3)] public Money Reserved { get; init; }

    /// <summary>Money out on leases, by holder.</summary>
    [Id(4)] public ImmutableArray<LeaseView> Leases { get; init; } = [];

    /// <summary>Never accounted for by holders that vanished, since the ledger began.</summary>
    [Id(5)] public Money UnreportedTotal { get; init; }

    /// <summary>Weight of charges in route decisions.</summary>
    [Id(6)] public double Pacing { get; init; }

    /// <summary>Charges per hour at the recent rate.</summary>
    [Id(7)] public Money SpendPerHour { get; init; }

    /// <summary>Seconds of the router's clock, as all times here are, after which a change of a limit holds on every silo that is alive.</summary>
    [Id(8)] public double LimitChangeRouterSeconds { get; init; }

    /// <summary>The router's clock at the moment that these figures are of.</summary>
    [Id(9)] public DateTimeOffset At { get; init; }
}

/// <summary>Owns a tenant's ledger. Key: the tenant id. Every promise is durable before it is answered.</summary>
[Alias("oi.ITenantGrain")]
public interface ITenantGrain : IGrainWithStringKey
{
    /// <summary>Creates or changes the tenant.</summary>
    [Alias("Configure")] Task Configure(TenantDefinition definition);

    /// <summary>Takes the tenant out of service; its ledger is kept for the day it comes back, and what is under way is settled.</summary>
    [Alias("Remove")] Task Remove();

    /// <summary>The definition; null if there is no such tenant.</summary>
    [Alias("GetDefinition")] Task<TenantDefinition?> GetDefinition();

    /// <summary>Takes a holder's report and grants what it may have.</summary>
    [Alias("Refill")] Task<TenantLease> Refill(LeaseReport report);

    /// <summary>Reserves an amount under an id until <paramref name="expiresAt"/> (Unix ms); repeating it changes nothing.</summary>
    [Alias("Reserve")] Task<ReservationReply> Reserve(string reservationId, Money amount, long expiresAt);

    /// <summary>
    /// Ends a reservation with the charge, at most its amount; repeating it changes nothing. A charge of zero releases it.
    /// Answers how it has ended; null if no such reservation is known.
    /// </summary>
    [Alias("Settle")] Task<EndedReservation?> Settle(string reservationId, Money charge);

    /// <summary>
    /// Lets a job or a batch wait for the budget, until its deadline or until its reservation is ended. When its turn has come, by deadline and then class, the
    /// amount is reserved for it and its grain told (<see cref="IJobGrain.Funded"/>, <see cref="IBatchGrain.Funded"/>). Repeating it changes nothing, and tells how it stands.
    /// </summary>
    [Alias("HoldJob")] Task<HoldReply> Hold(HoldRequest request);

    /// <summary>
    /// As silos of the version before call it while a cluster is upgraded: their jobs ask for their money by themselves (<see cref="Reserve"/>), so one is
    /// only counted, until <paramref name="until"/> (Unix ms) or until its reservation is made or ended. False if the tenant has as many as it may.
    /// Repeating it changes nothing.
    /// </summary>
    [Alias("Hold")] Task<bool> Hold(string reservationId, long until);

    /// <summary>What there is for each of some amounts, why it is not more, and when each fits; empty if there is no such tenant or it has no budget.</summary>
    [Alias("GetShortages")] Task<ImmutableArray<BudgetShortage>> GetShortages(ImmutableArray<Money> amounts);

    /// <summary>The budget as it stands.</summary>
    [Alias("GetBudget")] Task<BudgetView> GetBudget();
}
