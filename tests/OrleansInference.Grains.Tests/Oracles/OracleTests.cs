using OrleansInference.Audit;
using OrleansInference.Oracles;

namespace OrleansInference.Tests.Oracles;

public sealed class OracleTests
{
    private const long Noon = 1_790_000_000_000;
    private static readonly TenantId Tenant = new("t");

    [Fact]
    public void A_window_that_is_exactly_full_is_no_breach_and_one_nano_dollar_more_is()
    {
        var minute = Rolling(60, 100);
        Assert.Empty(OverspendOracle.Examine([Charged("a", Noon, 60), Charged("b", Noon + 59_999, 40)], minute));
        var breach = Assert.Single(OverspendOracle.Examine([Charged("a", Noon, 60), Charged("b", Noon + 59_999, 41)], minute));
        Assert.Equal(("P1", Tenant), (breach.Promise, breach.Tenant));
        Assert.Contains("101 nano-dollars", breach.What, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_position_of_a_rolling_window_counts_and_not_only_whole_minutes()
    {
        AuditRecord[] log = [Charged("a", Noon + 59_000, 60), Charged("b", Noon + 61_000, 60)];
        Assert.Single(OverspendOracle.Examine(log, Rolling(60, 100)));
        Assert.Single(OverspendOracle.Examine(log.Reverse(), Rolling(60, 100)));
        Assert.Empty(OverspendOracle.Examine([Charged("a", Noon, 60), Charged("b", Noon + 60_000, 60)], Rolling(60, 100)));
    }

    [Fact]
    public void Calendar_windows_begin_by_the_tenants_own_midnight()
    {
        var midnight = new DateTimeOffset(2026, 10, 25, 0, 0, 0, TimeSpan.FromHours(2)).ToUnixTimeMilliseconds();
        AuditRecord[] log = [Charged("a", midnight - 1, 60), Charged("b", midnight, 60), Charged("c", midnight + 24 * 3_600_000, 40)];
        Assert.Empty(OverspendOracle.Examine(log, Calendar("Europe/Berlin", 100)));

        // That day has 25 hours in Berlin, so a charge after 24 of them belongs to it.
        Assert.Single(OverspendOracle.Examine([.. log, Charged("d", midnight + 1, 1)], Calendar("Europe/Berlin", 100)));
        Assert.Single(OverspendOracle.Examine(log, Calendar("UTC", 100)));
    }

    [Fact]
    public void After_a_limit_was_lowered_what_was_leased_by_then_may_be_spent_and_no_more()
    {
        BudgetRegime[] regimes = [new(long.MinValue, Rolling(3600, 100), Money.Zero), new(Noon, Rolling(3600, 50), Money.FromNanos(20))];
        AuditRecord[] log = [Charged("a", Noon - 1_000, 60), Charged("b", Noon + 1_000, 20)];
        Assert.Empty(OverspendOracle.Examine(log, Tenant, regimes, clockSkewMs: 0));
        Assert.Single(OverspendOracle.Examine([.. log, Charged("c", Noon + 2_000, 1)], Tenant, regimes, clockSkewMs: 0));
        Assert.Single(OverspendOracle.Examine([Charged("a", Noon - 2_000, 60), Charged("b", Noon - 1_000, 41)], Tenant, regimes, clockSkewMs: 0));
    }

    [Fact]
    public void Other_tenants_and_releases_count_for_nothing()
    {
        AuditRecord[] log = [Charged("a", Noon, 100), Charged("b", Noon, 0), Charged("c", Noon, 50) with { Tenant = new("other") }];
        Assert.Empty(OverspendOracle.Examine(log, Rolling(60, 100)));
    }

    [Fact]
    public void Sums_beyond_64_bits_do_not_wrap_to_innocence() =>
        Assert.Single(OverspendOracle.Examine([Charged("a", Noon, long.MaxValue), Charged("b", Noon, long.MaxValue)], Rolling(60, 100)));

    [Fact]
    public void A_request_charged_once_within_its_cap_after_failed_attempts_is_no_breach() =>
        Assert.Empty(ChargeOracle.Examine([Charged("a", Noon, 0), Charged("a", Noon, 0), Charged("a", Noon, 100), Charged("a", Noon, 5) with { Tenant = new("other") }], [(Tenant, "b")]));

    [Fact]
    public void Each_planted_violation_of_charged_once_is_found()
    {
        AssertFound("before", Charged("a", Noon, 5), Charged("b", Noon, 5), Charged("a", Noon, 5));
        AssertFound("cap", Charged("a", Noon, 101));
        AssertFound("recorded as Release", Charged("a", Noon, 5) with { Kind = AuditKind.Release });
        AssertFound("recorded as Settle", Charged("a", Noon, 0) with { Kind = AuditKind.Settle });
        AssertFound("recorded as Release", Charged("a", Noon, 0) with { Charge = Money.FromNanos(-1) });
        AssertFound("never ran", Charged("a", Noon, 5) with { Problem = ProblemCode.BudgetExhausted });
        Assert.Contains("refused", Assert.Single(ChargeOracle.Examine([Charged("a", Noon, 5)], [(Tenant, "a")])).What, StringComparison.Ordinal);
    }

    private static void AssertFound(string what, params AuditRecord[] log) =>
        Assert.Contains(what, Assert.Single(ChargeOracle.Examine(log)).What, StringComparison.Ordinal);

    private static TenantDefinition Rolling(long seconds, long limit) => new()
    {
        Id = Tenant,
        Budgets = [new() { Kind = BudgetWindowKind.Rolling, Seconds = seconds, Limit = Money.FromNanos(limit) }],
    };

    private static TenantDefinition Calendar(string zone, long limit) => new()
    {
        Id = Tenant,
        TimeZone = zone,
        Budgets = [new() { Kind = BudgetWindowKind.CalendarDay, Limit = Money.FromNanos(limit) }],
    };

    private static AuditRecord Charged(string request, long at, long nanos) => new()
    {
        Kind = nanos > 0 ? AuditKind.Settle : AuditKind.Release,
        Tenant = Tenant,
        Request = request,
        Decision = request,
        Model = new("m"),
        Class = TrafficClass.High,
        Lane = Lane.Realtime,
        Endpoint = new("e"),
        Cap = Money.FromNanos(Math.Max(100, nanos > 1_000 ? nanos : 0)),
        Charge = Money.FromNanos(nanos),
        ReservedAt = at,
        EndedAt = at + 10,
    };
}
