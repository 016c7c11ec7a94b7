using FsCheck.Xunit;
using OrleansInference.Latency;
using OrleansInference.Routing;

namespace OrleansInference.Tests.Routing;

public sealed class HedgingTests
{
    private const double Target = 0.99;

    [Property]
    public void A_second_try_comes_as_soon_as_the_first_is_too_unlikely_and_never_before_the_quantile(int seed, byte deadline, byte percent)
    {
        var random = new Random(seed);
        var sketch = new QuantileSketch();
        var scale = 10 + (random.NextDouble() * 1000);
        for (var i = 0; i < 2_000; i++)
        {
            sketch.Add(scale * Math.Exp(random.NextDouble() * 4));
        }

        var service = LatencyDistribution.FromSketch(sketch);
        var left = service.Quantile(0.5) * (1 + (deadline / 8.0));
        var quantile = 0.5 + (percent % 50 / 100.0);
        var earliest = service.Quantile(quantile);
        if (Hedging.DelayMs(service, left, quantile, Target) is { } delay)
        {
            Assert.InRange(delay, earliest, left);
            Assert.True(InTime(delay) < Target, $"{InTime(delay)} at {delay}");
            Assert.True(delay <= earliest || InTime(Math.Max(earliest, delay - 2)) >= Target, "it could have come before");
        }
        else
        {
            Assert.True(earliest >= left || InTime(left - 0.001) >= Target, "a second try would have been worth it");
        }

        double InTime(double waited)
        {
            var answered = service.ProbabilityWithin(waited);
            return answered >= 1 ? 1 : (service.ProbabilityWithin(left) - answered) / (1 - answered);
        }
    }

    [Fact]
    public void A_call_that_will_surely_be_in_time_gets_none()
    {
        var sketch = new QuantileSketch();
        sketch.Add(100);
        sketch.Add(900);
        Assert.Null(Hedging.DelayMs(LatencyDistribution.FromSketch(sketch), 60_000, 0.95, Target));
        Assert.NotNull(Hedging.DelayMs(LatencyDistribution.FromSketch(sketch), 800, 0.5, Target));
    }

    [Theory]
    [InlineData(0.49)]
    [InlineData(1.01)]
    [InlineData(double.NaN)]
    public void Other_quantiles_are_refused(double quantile) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Hedging.DelayMs(LatencyDistribution.Zero, 1_000, quantile, Target));
}
