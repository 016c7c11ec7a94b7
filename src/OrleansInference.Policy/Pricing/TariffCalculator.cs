namespace OrleansInference.Pricing;

/// <summary>
/// Tariff × use → <see cref="Money"/>. Arithmetic is exact in integers; the sum of all parts is rounded up once, to the
/// next nano-dollar. This is the only place where a charge is rounded.
/// </summary>
public static class TariffCalculator
{
    private const ulong Thousand = 1_000;
    private const ulong Billion = 1_000_000_000;

    /// <summary>The charge for <paramref name="use"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A quantity or a price is negative.</exception>
    /// <exception cref="OverflowException">The charge does not fit <see cref="Money"/>.</exception>
    public static Money Charge(Tariff tariff, in Use use)
    {
        ArgumentNullException.ThrowIfNull(tariff);
        return TryCompute(tariff, use, out var nanos)
            ? Money.FromNanos(nanos)
            : throw new OverflowException($"The charge for {use} exceeds {Money.MaxValue} $; lower the tariff.");
    }

    /// <summary>The charge for <paramref name="use"/>, but never more than <paramref name="cap"/>: what is settled against a reservation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A quantity, a price or the cap is negative.</exception>
    public static Money Charge(Tariff tariff, in Use use, Money cap)
    {
        ArgumentNullException.ThrowIfNull(tariff);
        ArgumentOutOfRangeException.ThrowIfNegative(cap.Nanos, nameof(cap));
        return TryCompute(tariff, use, out var nanos) ? Money.Min(Money.FromNanos(nanos), cap) : cap;
    }

    /// <summary>
    /// The most that one request can be charged when its call runs at most <paramref name="longestCallMs"/>. Every use
    /// within these bounds is charged at most this. Saturates at <see cref="Money.MaxValue"/>, which no budget grants.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A bound or a price is negative.</exception>
    public static Money ChargeCap(Tariff tariff, long longestCallMs, long inputTokens, long maxOutputTokens, long maxBytes)
    {
        ArgumentNullException.ThrowIfNull(tariff);
        var most = new Use
        {
            SlotMilliseconds = longestCallMs,
            Requests = 1,
            InputTokens = inputTokens,
            OutputTokens = maxOutputTokens,
            Bytes = maxBytes,
        };
        return TryCompute(tariff, most, out var nanos) ? Money.FromNanos(nanos) : Money.MaxValue;
    }

    private static bool TryCompute(Tariff tariff, in Use use, out long nanos)
    {
        long slot = tariff.PerSlotSecond.Nanos, request = tariff.PerRequest.Nanos, input = tariff.PerThousandInputTokens.Nanos,
            output = tariff.PerThousandOutputTokens.Nanos, gigabyte = tariff.PerGigabyte.Nanos;
        if ((slot | request | input | output | gigabyte) < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(tariff), $"A price of {tariff} is negative.");
        }

        if ((use.SlotMilliseconds | use.Requests | use.InputTokens | use.OutputTokens | use.Bytes) < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(use), $"A quantity of {use} is negative.");
        }

        if ((slot | request | input | output | gigabyte | use.SlotMilliseconds | use.Requests | use.InputTokens | use.OutputTokens | use.Bytes) <= int.MaxValue)
        {
            // The usual case, kept off the slow 128-bit arithmetic: this runs for every candidate of every decision. A product is below 2^62.
            var milli = (ulong)(slot * use.SlotMilliseconds) + (ulong)(input * use.InputTokens) + (ulong)(output * use.OutputTokens);
            var nano = (ulong)(gigabyte * use.Bytes);
            var parts = (milli % Thousand * (Billion / Thousand)) + (nano % Billion);
            nanos = (request * use.Requests) + (long)((milli / Thousand) + (nano / Billion) + ((parts + Billion - 1) / Billion));
            return true;
        }

        // Each product of two non-negative longs is below 2^126, so three of them still fit 128 bits: nothing is lost
        // before the one rounding at the end.
        var thousandths = Product(slot, use.SlotMilliseconds) + Product(input, use.InputTokens) + Product(output, use.OutputTokens);
        var billionths = Product(gigabyte, use.Bytes);
        var whole = Product(request, use.Requests);
        var rest = ((ulong)(thousandths % Thousand) * (Billion / Thousand)) + (ulong)(billionths % Billion);
        whole += (thousandths / Thousand) + (billionths / Billion) + ((rest + Billion - 1) / Billion);
        var fits = whole <= long.MaxValue;
        nanos = fits ? (long)whole : 0;
        return fits;
    }

    private static UInt128 Product(long price, long quantity) => Math.BigMul((ulong)price, (ulong)quantity);
}
