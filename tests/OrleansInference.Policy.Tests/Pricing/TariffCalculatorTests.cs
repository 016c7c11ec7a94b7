using System.Numerics;
using FsCheck.Xunit;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class TariffCalculatorTests
{
    private const long Max = long.MaxValue;
    private static readonly BigInteger Billion = 1_000_000_000;

    // Prices in nano-dollars: slot-second, request, 1,000 input tokens, 1,000 output tokens, GB. Then the use and its charge.
    [Theory]
    [InlineData(0, 0, 0, 0, 0, 60_000, 1, 1000, 1000, 1_000_000_000, 0)]
    [InlineData(1000, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)]
    [InlineData(1000, 0, 0, 0, 0, 1500, 0, 0, 0, 0, 1500)]
    [InlineData(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)]
    [InlineData(1, 0, 0, 0, 0, 1000, 0, 0, 0, 0, 1)]
    [InlineData(1, 0, 0, 0, 0, 1001, 0, 0, 0, 0, 2)]
    [InlineData(0, 7, 0, 0, 0, 60_000, 3, 1000, 1000, 0, 21)]
    [InlineData(0, 0, 3000, 0, 0, 0, 0, 374, 0, 0, 1122)]
    [InlineData(0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1)]
    [InlineData(0, 0, 0, 15_000, 0, 0, 0, 0, 44, 0, 660)]
    [InlineData(0, 0, 0, 1, 0, 0, 0, 0, 1001, 0, 2)]
    [InlineData(0, 0, 0, 0, 16_000_000, 0, 0, 0, 0, 1_000_000_000, 16_000_000)]
    [InlineData(0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1)]
    [InlineData(0, 0, 0, 0, 1, 0, 0, 0, 0, 1_000_000_001, 2)]
    public void A_part_is_charged_by_its_unit_and_rounded_up(
        long slotSecond, long request, long input, long output, long gigabyte, long milliseconds, long requests, long inputTokens, long outputTokens, long bytes, long charge) => Assert.Equal(
            charge,
            TariffCalculator.Charge(TariffOf(slotSecond, request, input, output, gigabyte), UseOf(milliseconds, requests, inputTokens, outputTokens, bytes)).Nanos);

    [Theory]
    [InlineData(1, 1, 1, 1, 0, 0, 1)]
    [InlineData(250, 250, 250, 250, 0, 0, 1)]
    [InlineData(500, 500, 1, 0, 0, 0, 2)]
    [InlineData(1, 0, 0, 999_000_000, 0, 0, 1)]
    [InlineData(1, 0, 0, 999_000_001, 0, 0, 2)]
    [InlineData(1, 0, 0, 0, 5, 1, 6)]
    [InlineData(0, 0, 0, 0, 5, 1, 5)]
    public void Parts_add_up_before_the_sum_is_rounded_once(long milliseconds, long inputTokens, long outputTokens, long bytes, long perRequest, long requests, long charge) => Assert.Equal(
        charge,
        TariffCalculator.Charge(TariffOf(1, perRequest, 1, 1, 1), UseOf(milliseconds, requests, inputTokens, outputTokens, bytes)).Nanos);

    [Property(MaxTest = 5000)]
    public void A_charge_is_the_exact_sum_rounded_up_or_an_overflow(int seed)
    {
        var random = new Random(seed);
        var (tariff, use) = (RandomTariff(random), RandomUse(random));
        var cap = Money.FromNanos(Extreme(random));

        var exact = Exact(tariff, use);

        if (exact > Max)
        {
            Assert.Throws<OverflowException>(() => TariffCalculator.Charge(tariff, use));
            Assert.Equal(cap, TariffCalculator.Charge(tariff, use, cap));
        }
        else
        {
            Assert.Equal(exact, TariffCalculator.Charge(tariff, use).Nanos);
            Assert.Equal(BigInteger.Min(exact, cap.Nanos), TariffCalculator.Charge(tariff, use, cap).Nanos);
        }
    }

    [Property(MaxTest = 5000)]
    public void A_cap_is_the_charge_of_the_most_that_may_be_used_and_saturates(int seed)
    {
        var random = new Random(seed);
        var tariff = RandomTariff(random);
        var most = RandomUse(random) with { Requests = 1 };

        var cap = TariffCalculator.ChargeCap(tariff, most.SlotMilliseconds, most.InputTokens, most.OutputTokens, most.Bytes);

        Assert.Equal(BigInteger.Min(Exact(tariff, most), Max), cap.Nanos);
        for (var i = 0; i < 10; i++)
        {
            var less = new Use
            {
                SlotMilliseconds = UpTo(random, most.SlotMilliseconds),
                Requests = random.Next(2),
                InputTokens = UpTo(random, most.InputTokens),
                OutputTokens = UpTo(random, most.OutputTokens),
                Bytes = UpTo(random, most.Bytes),
            };
            Assert.True(Exact(tariff, less) <= cap.Nanos || cap == Money.MaxValue, $"seed {seed}: {less}");
            Assert.True(TariffCalculator.Charge(tariff, less, cap) <= cap, $"seed {seed}: {less}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_negative_price_or_quantity_is_refused(int which)
    {
        var one = TariffOf(1, 1, 1, 1, 1);
        var negativePrice = TariffOf(Of(0), Of(1), Of(2), Of(3), Of(4));
        var negativeUse = UseOf(Of(0), Of(1), Of(2), Of(3), Of(4));

        Assert.Throws<ArgumentOutOfRangeException>("tariff", () => TariffCalculator.Charge(negativePrice, default));
        Assert.Throws<ArgumentOutOfRangeException>("tariff", () => TariffCalculator.Charge(negativePrice, default, Money.Zero));
        Assert.Throws<ArgumentOutOfRangeException>("tariff", () => TariffCalculator.ChargeCap(negativePrice, 1, 1, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>("use", () => TariffCalculator.Charge(one, negativeUse));
        Assert.Throws<ArgumentOutOfRangeException>("cap", () => TariffCalculator.Charge(one, default, Money.FromNanos(-1)));

        long Of(int part) => part == which ? -1 : 1;
    }

    private static BigInteger Exact(Tariff tariff, Use use)
    {
        var billionths = (((BigInteger)tariff.PerSlotSecond.Nanos * use.SlotMilliseconds)
            + ((BigInteger)tariff.PerThousandInputTokens.Nanos * use.InputTokens)
            + ((BigInteger)tariff.PerThousandOutputTokens.Nanos * use.OutputTokens)) * 1_000_000;
        billionths += (BigInteger)tariff.PerGigabyte.Nanos * use.Bytes;
        billionths += (BigInteger)tariff.PerRequest.Nanos * use.Requests * Billion;
        return (billionths + Billion - 1) / Billion;
    }

    private static Tariff RandomTariff(Random random) => TariffOf(Extreme(random), Extreme(random), Extreme(random), Extreme(random), Extreme(random));

    private static Use RandomUse(Random random) => UseOf(Extreme(random), Extreme(random), Extreme(random), Extreme(random), Extreme(random));

    /// <summary>Usual amounts, small ones, nothing, and the border of what fits.</summary>
    private static long Extreme(Random random) => random.Next(12) switch
    {
        0 => Max - random.Next(2),
        1 => (long)Math.Exp(random.NextDouble() * 43.6),
        < 5 => 0,
        < 8 => random.Next(4),
        _ => random.NextInt64(10_000_000_000),
    };

    private static long UpTo(Random random, long most) => random.Next(4) switch { 0 => most, 1 => 0, _ => most == Max ? random.NextInt64(most) : random.NextInt64(most + 1) };

    private static Tariff TariffOf(long slotSecond, long request, long input, long output, long gigabyte) => new()
    {
        PerSlotSecond = Money.FromNanos(slotSecond),
        PerRequest = Money.FromNanos(request),
        PerThousandInputTokens = Money.FromNanos(input),
        PerThousandOutputTokens = Money.FromNanos(output),
        PerGigabyte = Money.FromNanos(gigabyte),
    };

    private static Use UseOf(long milliseconds, long requests, long inputTokens, long outputTokens, long bytes) =>
        new() { SlotMilliseconds = milliseconds, Requests = requests, InputTokens = inputTokens, OutputTokens = outputTokens, Bytes = bytes };
}
