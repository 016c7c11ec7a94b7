using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Tests.Reporting;

public sealed class NumbersTests
{
    [Theory]
    [InlineData(0.99, "99.000 %")]
    [InlineData(0.98999999, "98.999 %")]
    [InlineData(0.9999999, "99.999 %")]
    [InlineData(1, "100 %")]
    [InlineData(0, "0.000 %")]
    public void An_attainment_never_looks_better_than_it_is(double share, string text) => Assert.Equal(text, Numbers.Attainment(share));

    [Theory]
    [InlineData(0.0471, "47 ms")]
    [InlineData(3.456, "3.46 s")]
    [InlineData(59.94, "59.9 s")]
    [InlineData(600, "10.0 min")]
    [InlineData(36_000, "10.0 h")]
    [InlineData(864_000, "10.0 d")]
    public void A_duration_is_told_in_the_unit_that_suits_it(double seconds, string text) => Assert.Equal(text, Numbers.Duration(seconds));

    [Fact]
    public void Ticks_are_round_and_reach_no_further_than_the_axis()
    {
        Assert.Equal([0, 2000, 4000, 6000, 8000], Axis.Of(8820, 0, 100).Ticks(6));
        Assert.Equal([0, 0.5, 1], Axis.Of(1, 0, 100).Ticks(2));
        Assert.Equal(50, new Axis(10, 100, 0).At(5));
    }
}
