using OrleansInference.Demo;
using Spectre.Console;

namespace OrleansInference.Tests.Demo;

public sealed class DemoTablesTests
{
    [Theory]
    [InlineData(0, "$0.000000")]
    [InlineData(1, "$0.000000001")]
    [InlineData(120, "$0.00000012")]
    [InlineData(-120, "-$0.00000012")]
    [InlineData(999_999, "$0.000999999")]
    [InlineData(1_000_000, "$0.001000")]
    [InlineData(12_345_678_900, "$12.345679")]
    public void A_small_amount_is_shown_in_full(long nanos, string text) => Assert.Equal(text, DemoTables.Dollars(Money.FromNanos(nanos)));

    [Fact]
    public void Latencies_are_labelled_with_the_time_they_are_in_and_fleets_with_their_size()
    {
        // One answer after about 1.5 s of the trace's time.
        var figures = DemoAuditTests.Figures(settled: 1000);
        Assert.Matches(@"High p50=1\.\d\d s p99=1\.\d\d s of trace time, errors=1 ", DemoTables.Line(figures));

        using var text = new StringWriter();
        var console = AnsiConsole.Create(new() { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 1000;
        console.Write(DemoTables.All(figures));
        var shown = text.ToString();
        Assert.Contains("p50, trace time", shown, StringComparison.Ordinal);
        Assert.Contains("p99, trace time", shown, StringComparison.Ordinal);
        Assert.Contains("BudgetExhausted 1", shown, StringComparison.Ordinal);
        Assert.Contains("(sized for the 99th-percentile minute)", shown, StringComparison.Ordinal);
        Assert.Contains("(for the busiest)", shown, StringComparison.Ordinal);
    }
}
