using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Traces;

/// <summary>What is drawn by chance has the moments that its distribution has.</summary>
public sealed class ChanceTests
{
    private const int Draws = 200_000;

    private delegate double Draw(ref Chance chance);

    private static (double Mean, double Deviation) Moments(Draw draw)
    {
        var chance = new Chance(7, "moments");
        var (sum, squares) = (0.0, 0.0);
        for (var i = 0; i < Draws; i++)
        {
            var value = draw(ref chance);
            sum += value;
            squares += value * value;
        }

        var mean = sum / Draws;
        return (mean, Math.Sqrt((squares / Draws) - (mean * mean)));
    }

    [Fact]
    public void Normal_has_mean_0_and_deviation_1()
    {
        var (mean, deviation) = Moments(static (ref Chance chance) => chance.Normal());
        Assert.InRange(mean, -0.01, 0.01);
        Assert.InRange(deviation, 0.99, 1.01);
    }

    [Theory]
    [InlineData(0.05)]
    [InlineData(0.5)]
    [InlineData(1)]
    [InlineData(4)]
    public void Gamma_has_its_shape_for_mean_and_for_variance(double shape)
    {
        var (mean, deviation) = Moments((ref Chance chance) => chance.Gamma(shape));
        Assert.InRange(mean / shape, 0.95, 1.05);
        Assert.InRange(deviation * deviation / shape, 0.9, 1.1);
    }

    [Theory]
    [InlineData(0.5, 2.0)]
    [InlineData(1.0, 1.0)]
    [InlineData(2.0, 0.886227)]
    public void Weibull_has_its_mean(double shape, double expected)
    {
        var (mean, _) = Moments((ref Chance chance) => chance.Weibull(shape));
        Assert.InRange(mean / expected, 0.97, 1.03);
    }

    [Fact]
    public void Lognormal_has_median_1()
    {
        var chance = new Chance(7, "median");
        var below = 0;
        for (var i = 0; i < Draws; i++)
        {
            below += chance.LogNormal(0.1) < 1 ? 1 : 0;
        }

        Assert.InRange((double)below / Draws, 0.49, 0.51);
    }

    [Fact]
    public void A_stream_is_its_seed_and_name_and_like_no_other()
    {
        static ulong[] First(ulong seed, string name)
        {
            var chance = new Chance(seed, name);
            return [.. Enumerable.Range(0, 8).Select(_ => chance.Bits())];
        }

        Assert.Equal(First(1, "client-3"), First(1, "client-3"));
        Assert.Empty(First(1, "client-3").Intersect(First(1, "client-4")));
        Assert.Empty(First(1, "client-3").Intersect(First(2, "client-3")));
    }
}
