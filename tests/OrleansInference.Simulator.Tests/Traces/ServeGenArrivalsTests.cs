using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Traces;

/// <summary>Arrivals drawn from rates come at those rates, in order, each client's for itself.</summary>
public sealed class ServeGenArrivalsTests
{
    private static readonly LengthQuantiles Lengths = new([(0.1, 20), (0.9, 400)]);

    private static RateClient Client(params RateWindow[] windows) => new(windows, Lengths, Lengths);

    private static List<Arrival> All(IReadOnlyList<RateClient> clients, IReadOnlyList<string> names, double rateScale = 1, double untilSeconds = 6000, ulong seed = 3)
    {
        using var arrivals = new ServeGenArrivals(clients, names, seed, rateScale, untilSeconds);
        var all = new List<Arrival>();
        while (arrivals.TryNext(out var arrival))
        {
            all.Add(arrival);
        }

        return all;
    }

    [Theory]
    [InlineData(false, 1.0)]
    [InlineData(false, 0.5)]
    [InlineData(false, 4.0)]
    [InlineData(true, 0.7)]
    [InlineData(true, 2.0)]
    public void Each_window_has_its_own_rate(bool isWeibull, double shape)
    {
        var all = All([Client(new(0, 5, isWeibull, shape), new(1200, 20, isWeibull, shape))], ["one"]);
        Assert.InRange(all.Count(static arrival => arrival.AtUs < 600_000_000), 3000 * 0.9, 3000 * 1.1);
        Assert.DoesNotContain(all, static arrival => arrival.AtUs is >= 600_000_000 and < 1_200_000_000);
        Assert.InRange(all.Count(static arrival => arrival.AtUs >= 1_200_000_000), 12_000 * 0.95, 12_000 * 1.05);
        Assert.True(all[^1].AtUs < 1_800_000_000);
    }

    [Fact]
    public void Clients_come_in_order_of_time_and_none_changes_another()
    {
        var (one, two) = (Client(new(0, 3, false, 0.3), new(600, 9, true, 0.8)), Client(new RateWindow(0, 30, true, 1.5)));
        var both = All([one, two], ["one", "two"]);
        Assert.Equal(both.OrderBy(static arrival => arrival.AtUs).Select(static arrival => arrival.AtUs), both.Select(static arrival => arrival.AtUs));
        Assert.Equal(All([one], ["one"]), both.Where(static arrival => arrival.Tenant == 0));
        Assert.Equal(both, All([one, two], ["one", "two"]));
        Assert.NotEqual(both, All([one, two], ["one", "two"], seed: 4));
    }

    [Fact]
    public void The_rates_can_be_scaled_and_the_end_cut_off()
    {
        var client = Client(new(0, 10, false, 1), new(600, 10, false, 1));
        var (once, thrice) = (All([client], ["one"]), All([client], ["one"], rateScale: 3));
        Assert.InRange((double)thrice.Count / once.Count, 2.8, 3.2);
        Assert.All(All([client], ["one"], untilSeconds: 700), static arrival => Assert.True(arrival.AtUs < 700_000_000));
        Assert.Contains(All([client], ["one"], untilSeconds: 700), static arrival => arrival.AtUs > 600_000_000);
    }

    [Fact]
    public void Lengths_are_as_their_quantiles_say()
    {
        var lengths = All([Client(new RateWindow(0, 50, false, 1))], ["one"]).Select(static arrival => arrival.InputTokens).Order().ToArray();
        Assert.Equal(20, lengths[0]);
        Assert.Equal(400, lengths[^1]);
        Assert.InRange(lengths[lengths.Length / 2], 200, 220);
    }
}
