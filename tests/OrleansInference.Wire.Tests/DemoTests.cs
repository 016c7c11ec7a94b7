using System.Globalization;
using System.Text.RegularExpressions;

namespace OrleansInference.Tests;

/// <summary>The demo as a newcomer starts it, shortened.</summary>
public sealed partial class DemoTests
{
    [Fact]
    public async Task A_short_demo_ends_well_and_its_figures_agree()
    {
        var folder = Directory.CreateTempSubdirectory("oi-demo-test-").FullName;
        try
        {
            var result = await RunAsync("demo", "--minutes", "2", "--speed", "20", "--port", "0", "--data", folder, "--exit");
            var output = result.Success();

            // Neither start nor stop has anything to complain of.
            Assert.Equal("", result.Errors);
            Assert.DoesNotContain("WRONG", output, StringComparison.Ordinal);
            Assert.Contains("All figures agree, money to the nano-dollar.", output, StringComparison.Ordinal);

            // Held once more, from what it printed alone.
            var checks = Check().Matches(output);
            Assert.True(checks.Count > 10, output);
            Assert.All(checks, check => Assert.Equal(check.Groups["left"].Value, check.Groups["right"].Value));
            var total = checks.Single(check => check.Groups["what"].Value.StartsWith("all tenants", StringComparison.Ordinal));
            var sum = checks.Where(check => check.Groups["what"].Value.EndsWith(": charges in the audit log = settled in its ledger", StringComparison.Ordinal)).Sum(check => Dollars(check.Groups["left"].Value));
            Assert.Equal(Dollars(total.Groups["left"].Value), sum);
            Assert.True(sum > 0, output);
            Assert.True(Directory.EnumerateFiles(folder).Any(), "The ledger is not in the folder it was told to use.");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("--speed", "fast")]
    [InlineData("--speed", "0")]
    [InlineData("--minutes", "0")]
    [InlineData("--minutes", "61")]
    [InlineData("--port", "70000")]
    [InlineData("--no-such-option", "1")]
    public async Task A_bad_argument_is_named_and_ends_with_2(string option, string value)
    {
        var result = await RunAsync("demo", option, value, "--exit");
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(option, result.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Errors + result.Output, StringComparison.Ordinal);
    }

    private static Task<CommandResult> RunAsync(params string[] arguments) =>
        ExternalCommand.RunAsync("dotnet", [Path.Combine(AppContext.BaseDirectory, "OrleansInference.Server.dll"), .. arguments]);

    private static decimal Dollars(string text) => decimal.Parse(text.TrimStart('$'), CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^\s+ok\s+(?<what>.+): (?<left>\S+) = (?<right>\S+)\s*$", RegexOptions.Multiline)]
    private static partial Regex Check();
}
