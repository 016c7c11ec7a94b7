using OrleansInference.Dispatch;

namespace OrleansInference.Tests;

public sealed class ModelUseTests
{
    [Theory]
    [InlineData("input-tokens=374;output-tokens=44", 44)]
    [InlineData("class=High; Output-Tokens=7 ", 7)]
    [InlineData("output-tokens=", null)]
    [InlineData("output-tokens=-3", null)]
    [InlineData("output-tokens=99999999999", null)]
    [InlineData("xoutput-tokens=5", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void Token_counts_are_read_from_the_models_attributes(string? attributes, int? expected) =>
        Assert.Equal(expected, ModelUse.Read(attributes, "output-tokens"));

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(4, 1)]
    [InlineData(5, 2)]
    [InlineData(long.MaxValue - 3, int.MaxValue)]
    public void Tokens_are_estimated_from_bytes(long bytes, int expected) => Assert.Equal(expected, ModelUse.Estimate(bytes));

    [Theory]
    [InlineData(0, null, 0)]
    [InlineData(400, null, 100)]
    [InlineData(400, "output-tokens=40", 40)]
    [InlineData(400, "output-tokens=4000", 100)]
    [InlineData(1_000_000, null, 500)]
    public void Output_that_was_relayed_before_a_call_broke_off_is_charged_up_to_the_cap(long relayed, string? attributes, long micros)
    {
        var tariff = new Tariff { PerThousandOutputTokens = Money.FromNanos(1_000_000) };
        var charge = ModelUse.OfFailure(tariff, default, Money.FromNanos(500_000), milliseconds: 20, attributes, relayed);
        Assert.Equal(Money.FromNanos(micros * 1000), charge);
    }
}
