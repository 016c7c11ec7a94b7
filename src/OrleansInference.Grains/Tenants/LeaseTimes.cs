using OrleansInference.Budgets;
using OrleansInference.Hosting;

namespace OrleansInference.Tenants;

/// <summary>How long leases last. On a clock that runs fast they are longer in its time, so that on the wall a holder always has seconds to renew them.</summary>
internal static class LeaseTimes
{
    private const long LeaseMs = 10_000;
    private const long ReportMs = 5_000;
    private const double LeastWallShare = 0.4;

    public static EscrowOptions ForMoney(RouterClock clock) => InTimeOf(clock, EscrowOptions.Money);

    public static EscrowOptions ForSlots(RouterClock clock, double maxServiceSeconds) =>
        InTimeOf(clock, EscrowOptions.Slots((long)Math.Ceiling(maxServiceSeconds * 1000)));

    private static EscrowOptions InTimeOf(RouterClock clock, EscrowOptions options)
    {
        var longer = Math.Max(1, clock.Speed * LeastWallShare);
        return options with { LeaseMs = (long)(LeaseMs * longer), ReportMs = (long)(ReportMs * longer) };
    }
}
