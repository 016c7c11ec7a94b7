using OrleansInference.Budgets;
using OrleansInference.Hosting;

namespace OrleansInference.Tenants;

/// <summary>How long leases last. On a clock that runs fast they are longer in its time, so that on the wall a holder always has seconds to renew them.</summary>
internal static class LeaseTimes
{
    private const long LeaseMs = 10_000;
    private const double LeastWallShare = 0.4;

    public static EscrowOptions ForMoney(RouterClock clock) => EscrowOptions.Money with { LeaseMs = Length(clock) };

    public static EscrowOptions ForSlots(RouterClock clock, double maxServiceSeconds) =>
        EscrowOptions.Slots((long)Math.Ceiling(maxServiceSeconds * 1000)) with { LeaseMs = Length(clock) };

    private static long Length(RouterClock clock) => (long)(LeaseMs * Math.Max(1, clock.Speed * LeastWallShare));
}
