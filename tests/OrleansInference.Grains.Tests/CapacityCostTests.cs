using OrleansInference.Capacity;

namespace OrleansInference.Tests;

public sealed class CapacityCostTests
{
    private static readonly Money Price = Money.FromNanos(1_000_000);

    [Fact]
    public void Instances_cost_by_the_time_they_were_in_service_at_the_price_of_that_time()
    {
        var cost = new CapacityCost { Price = Price }.Advance(1_000, 2).Advance(11_000, 1).Advance(21_000, 0).Advance(99_000, 0);
        Assert.Equal(Price * 30, cost.Total);

        cost = cost.Reprice(Price * 2).Advance(100_000, 1).Advance(101_000, 1);
        Assert.Equal(Price * 32, cost.Total);
        Assert.Equal(cost.Total, cost.Advance(50_000, 1).Total);
    }

    [Fact]
    public void A_booking_counts_once()
    {
        var cost = new CapacityCost().Book("window-1", Price, Price * 2, 5).Book("window-1", Price, Price * 2, 5);
        Assert.Equal(Price, cost.Total);
        Assert.Equal(Price * 2, cost.Charged);
        Assert.Equal(5, cost.Predictions);
        for (var i = 0; i < 2_000; i++)
        {
            cost = cost.Book($"window-{i + 2}", Money.Zero, Money.Zero, 0);
        }

        Assert.Equal(1024, cost.Bookings.Count);
    }
}
