using System.Collections.Immutable;
using OrleansInference.Pricing;

namespace OrleansInference.Tests.Pricing;

public sealed class PriceTableTests
{
    private static readonly EndpointDefinition Realtime = new() { Name = new("e"), Lane = Lane.Realtime, InstanceType = "ml.x" };

    // Price of an instance-hour in nano-dollars; the tariff per slot-second.
    [Theory]
    [InlineData(3_600_000_000_000, 1, 0, 1_000_000_000)]
    [InlineData(3_600_000_000_000, 1, 0.5, 1_500_000_000)]
    [InlineData(3_600_000_000_000, 8, 0.5, 187_500_000)]
    [InlineData(3_600_000_000_000, 7, 0, 142_857_143)]
    [InlineData(1_408_000_000, 8, 0.5, 73_334)]
    [InlineData(1, 1, 0, 1)]
    [InlineData(1, 1000, 100, 1)]
    [InlineData(0, 4, 0.5, 0)]
    [InlineData(long.MaxValue, 1, 100, 258_766_826_589_536_766)]
    public void The_default_tariff_is_the_price_by_concurrency_and_margin_rounded_up_once(long hour, int concurrency, double margin, long slotSecond)
    {
        var prices = new PriceTable(Catalog(hour) with { IdleMargin = (decimal)margin });

        var tariff = prices.TariffOf(Realtime with { ConcurrencyPerInstance = concurrency });

        Assert.Equal(new() { PerSlotSecond = Money.FromNanos(slotSecond) }, tariff);
    }

    [Theory]
    [InlineData(3_600, 1)]
    [InlineData(3_601, 2)]
    [InlineData(1, 1)]
    [InlineData(0, 0)]
    [InlineData(1_408_000_000, 391_112)]
    public void An_instance_second_costs_its_share_of_the_hour_rounded_up(long hour, long second) =>
        Assert.Equal(second, new PriceTable(Catalog(hour)).InstanceSecondCost(Realtime).Nanos);

    [Theory]
    [InlineData(20_000, 1024, 20_000)]
    [InlineData(20_000, 6144, 120_000)]
    [InlineData(1, 3072, 3)]
    [InlineData(0, 2048, 0)]
    public void A_serverless_second_costs_its_memory_without_a_margin_and_traffic_as_AWS_bills_it(long gigabyteSecond, int memoryMb, long second)
    {
        var prices = new PriceTable(Catalog(0) with { ServerlessPerGigabyteSecond = Money.FromNanos(gigabyteSecond), ServerlessPerGigabyteTransferred = Money.FromNanos(16), IdleMargin = 3 });
        var endpoint = new EndpointDefinition { Name = new("s"), Lane = Lane.Serverless, MemoryMb = memoryMb, MaxInstances = 5 };

        Assert.Equal(second, prices.InstanceSecondCost(endpoint).Nanos);
        Assert.Equal(new() { PerSlotSecond = Money.FromNanos(second), PerGigabyte = Money.FromNanos(16) }, prices.TariffOf(endpoint));
    }

    [Fact]
    public void A_busy_instance_earns_its_cost_and_the_margin()
    {
        // Every slot busy for an hour: what tenants pay is what the instance costs plus the margin, and at most a nano-dollar a slot-second more.
        foreach (var concurrency in (int[])[1, 3, 7, 8, 1000])
        {
            var prices = new PriceTable(Catalog(1_408_000_000));
            var charged = prices.TariffOf(Realtime with { ConcurrencyPerInstance = concurrency }).PerSlotSecond.Nanos * 3600 * concurrency;
            Assert.InRange(charged, 2_112_000_000, 2_112_000_000 + (3600L * concurrency));
        }
    }

    [Fact]
    public void An_own_tariff_is_kept_and_resolved_models_carry_tariff_and_cost_of_every_endpoint()
    {
        var own = new Tariff { PerRequest = Money.FromNanos(5) };
        var catalog = Catalog(3600) with
        {
            Models =
            [
                new()
                {
                    Name = new("m"),
                    Variants = [new() { Name = new("v"), Endpoints = [Realtime, Realtime with { Name = new("own"), Tariff = own, InstanceType = "ml.unpriced" }] }],
                },
            ],
        };

        var model = CatalogPricing.Resolve(catalog)[0];

        var endpoints = model.Model!.Variants[0].Endpoints;
        Assert.Equal(new Tariff { PerSlotSecond = Money.FromNanos(2) }, endpoints[0].Tariff);
        Assert.Same(own, endpoints[1].Tariff);
        Assert.Equal(Money.FromNanos(1), model.InstanceSecondCosts[new("e")]);
        Assert.Equal(Money.Zero, model.InstanceSecondCosts[new("own")]);
    }

    [Fact]
    public void An_endpoint_with_neither_tariff_nor_price_is_refused() =>
        Assert.Contains("ml.y", Assert.Throws<ArgumentException>(() => new PriceTable(Catalog(1)).TariffOf(Realtime with { InstanceType = "ml.y" })).Message, StringComparison.Ordinal);

    private static CatalogDefinition Catalog(long hour) => new() { InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.x", Money.FromNanos(hour)) };
}
