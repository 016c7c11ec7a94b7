using System.Text.Json;

namespace OrleansInference.Tests;

public sealed class MoneyTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1", 1_000_000_000)]
    [InlineData("$0.25", 250_000_000)]
    [InlineData("0.000000001", 1)]
    [InlineData("-2.5", -2_500_000_000)]
    public void Dollars_parse_exactly(string text, long nanos)
    {
        Assert.True(Money.TryParse(text, out var money));
        Assert.Equal(nanos, money.Nanos);
    }

    [Theory]
    [InlineData("")]
    [InlineData("abc")]
    [InlineData("1,5")]
    [InlineData("0.0000000001")]
    [InlineData("99999999999999")]
    [InlineData("1e3")]
    public void What_is_no_exact_amount_is_refused(string text) => Assert.False(Money.TryParse(text, out _));

    [Fact]
    public void Sums_never_wrap()
    {
        Assert.Throws<OverflowException>(() => Money.MaxValue + Money.FromNanos(1));
        Assert.Throws<OverflowException>(() => Money.MaxValue * 2);
    }

    [Fact]
    public void Json_keeps_every_nano_dollar()
    {
        var money = Money.FromNanos(123_456_789_012_345_678);
        Assert.Equal(money, JsonSerializer.Deserialize<Money>(JsonSerializer.Serialize(money)));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<Money>("\"cheap\""));
    }

    [Theory]
    [InlineData("a", true)]
    [InlineData("my-model-2", true)]
    [InlineData("-a", false)]
    [InlineData("a-", false)]
    [InlineData("a/b", false)]
    [InlineData("", false)]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123", false)]
    public void Names_obey_the_rule_of_endpoint_names(string text, bool valid)
    {
        Assert.Equal(valid, ModelName.TryParse(text, out var name));
        Assert.Equal(valid ? text : "", name.Value);
    }
}
