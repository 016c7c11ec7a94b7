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
}
