using OrleansInference.Budgets;
using OrleansInference.Hosting;

namespace OrleansInference.Tenants;

/// <summary>How long leases last. On a clock that runs fast they are longer in its time, so that on the wall a holder always has seconds to renew them.</summary>
internal static class LeaseTimes
{
    private const long LeaseMs = 10_000;
    private const long BeatMs = 1_000;
    private const long LateMs = 400;
    private const double LeastWallShare = 0.4;

    public static EscrowOptions ForMoney(RouterClock clock, OrleansInferenceOptions options)
    {
        var reportMs = (long)options.LimitChange.TotalMilliseconds;
        return InTimeOf(clock, EscrowOptions.Money with { ReportMs = reportMs, LeaseMs = Math.Max(LeaseMs, 2 * reportMs) });
    }

    /// <summary>How long a silo may leave a tenant's ledger without a report: it hears of a change with one and obeys with the next, each up to a beat late.</summary>
    public static long ReportEveryMs(OrleansInferenceOptions options) => ((long)options.LimitChange.TotalMilliseconds - BeatMs) / 2 - LateMs;

    public static EscrowOptions ForSlots(RouterClock clock, double maxServiceSeconds) =>
        InTimeOf(clock, EscrowOptions.Slots((long)Math.Ceiling(maxServiceSeconds * 1000)));

    private static EscrowOptions InTimeOf(RouterClock clock, EscrowOptions options)
    {
        var longer = Math.Max(1, clock.Speed * LeastWallShare);
        return options with { LeaseMs = (long)(options.LeaseMs * longer), ReportMs = (long)(options.ReportMs * longer) };
    }
}
