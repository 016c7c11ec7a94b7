using System.Numerics;
using FsCheck.Xunit;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

// By default only a hundred seeds would differ.
[Properties(EndSize = int.MaxValue)]
public sealed class OperatorCostTests
{
    [Theory]
    [InlineData(1000, 0, 0)]
    [InlineData(1000, 1, 1)]
    [InlineData(1000, 1000, 1000)]
    [InlineData(1, 1001, 2)]
    [InlineData(0, long.MaxValue, 0)]
    [InlineData(1000, long.MaxValue, long.MaxValue)]
    public void Instances_cost_their_time_rounded_up_once(long second, long milliseconds, long cost) =>
        Assert.Equal(cost, OperatorCost.OfInstances(Money.FromNanos(second), milliseconds).Nanos);

    [Property(MaxTest = 1000)]
    public void Executions_cost_every_started_part_of_their_memory_time_and_their_bytes(int seed)
    {
        var random = new Random(seed);
        long second = random.Next(1_000_000), milliseconds = 0, gigabyte = random.Next(100_000_000), bytes = 0;
        BigInteger memory = 0, transfer = 0;
        for (var i = random.Next(50); i > 0; i--)
        {
            long ran = random.Next(60_000), moved = random.Next(6_000_000);
            (milliseconds, bytes) = (milliseconds + ran, bytes + moved);
            (memory, transfer) = (memory + ((BigInteger)second * ran), transfer + ((BigInteger)gigabyte * moved));
        }

        var cost = OperatorCost.OfServerless(Money.FromNanos(second), milliseconds, Money.FromNanos(gigabyte), bytes);

        Assert.Equal(((memory + 999) / 1000) + ((transfer + 999_999_999) / 1_000_000_000), cost.Nanos);
    }

    [Fact]
    public void What_does_not_fit_or_is_negative_is_refused()
    {
        Assert.Throws<OverflowException>(() => OperatorCost.OfInstances(Money.FromNanos(1001), long.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => OperatorCost.OfInstances(Money.FromNanos(-1), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => OperatorCost.OfInstances(Money.FromNanos(1), -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => OperatorCost.OfServerless(Money.Zero, 0, Money.Zero, -1));
    }
}
