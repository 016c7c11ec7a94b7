using FsCheck.Xunit;
using OrleansInference.Batch;

namespace OrleansInference.Tests.Batch;

public sealed class WindowSharesTests
{
    [Property(MaxTest = 1000)]
    public void Shares_add_up_and_none_is_a_whole_unit_off(uint total, ushort[] weights)
    {
        var shares = WindowShares.Split(total, [.. weights.Select(static weight => (long)weight)]);
        Assert.Equal(weights.Length, shares.Length);
        if (weights.Length == 0)
        {
            return;
        }

        Assert.Equal(total, shares.Sum());
        decimal sum = weights.Sum(static weight => weight);
        foreach (var (share, weight) in shares.Zip(weights))
        {
            var exact = sum == 0 ? (decimal)total / weights.Length : total * weight / sum;
            Assert.InRange(share, decimal.ToInt64(decimal.Floor(exact)), decimal.ToInt64(decimal.Ceiling(exact)));
        }
    }

    [Fact]
    public void The_largest_amounts_do_not_overflow() =>
        Assert.Equal(long.MaxValue, WindowShares.Split(long.MaxValue, [long.MaxValue, long.MaxValue, 1]).Aggregate(0L, static (sum, share) => checked(sum + share)));
}
