using System.Text.Json;
using OrleansInference.Simulator.Commands;
using OrleansInference.Tests.Advice;

namespace OrleansInference.Tests.Commands;

public sealed class AdviseCommandTests : IDisposable
{
    private readonly SmallGround _ground = new();
    private readonly AdviceWorld _world = new();

    public void Dispose()
    {
        _ground.Dispose();
        _world.Dispose();
    }

    [Fact]
    public async Task Advice_is_a_table_with_sentences_and_the_same_as_JSON()
    {
        Plant();
        var (exitCode, output, error) = await _ground.RunAsync(["advise", "--scenario", "planted", "--json", _ground.PathOf("out.json")]);

        Assert.Equal(0, exitCode);
        Assert.Equal(["out.json"], _ground.Files);
        Assert.Contains("The real-time endpoint of m idles.", output, StringComparison.Ordinal);
        Assert.Contains("do not add up", output, StringComparison.Ordinal);
        Assert.Contains("fleets simulated in", error, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(_ground.PathOf("out.json")));
        var root = json.RootElement;
        Assert.Equal(("planted", "target-tracking", 1.0), (root.GetProperty("scenario").GetString(), root.GetProperty("policy").GetString(), root.GetProperty("days").GetDouble()));
        Assert.InRange(root.GetProperty("today").GetProperty("usdPerMonth").GetDouble(), 719, 721);
        var savings = root.GetProperty("advices").EnumerateArray().Select(static each => each.GetProperty("savesUsdPerMonth").GetDouble()).ToList();
        Assert.NotEmpty(savings);
        Assert.Equal(savings.OrderDescending(), savings);
        Assert.Equal(savings[0], root.GetProperty("largestSavingUsdPerMonth").GetDouble());
        foreach (var advice in root.GetProperty("advices").EnumerateArray())
        {
            Assert.All((string[])["kind", "subject", "what", "why", "do"], field => Assert.NotEmpty(advice.GetProperty(field).GetString()!));
            Assert.False(advice.GetProperty("isEstimate").GetBoolean());
            Assert.Equal(
                advice.GetProperty("savesUsdPerMonth").GetDouble(),
                advice.GetProperty("before").GetProperty("usdPerMonth").GetDouble() - advice.GetProperty("after").GetProperty("usdPerMonth").GetDouble(),
                3);
            Assert.Equal(["High", "Medium", "Low"], advice.GetProperty("after").GetProperty("attainment").EnumerateObject().Select(static each => each.Name));
            Assert.Empty(advice.GetProperty("belowTarget").EnumerateArray());
            Assert.NotEmpty(advice.GetProperty("simulated").EnumerateArray());
        }
    }

    [Fact]
    public async Task A_dash_writes_the_JSON_and_nothing_else_to_standard_output_and_the_same_bytes_again()
    {
        Plant();
        var (exitCode, output, error) = await _ground.RunAsync(["advise", "--scenario", "planted", "--json", "-"]);

        Assert.Equal(0, exitCode);
        using var json = JsonDocument.Parse(output);
        Assert.Contains("idles", error, StringComparison.Ordinal);
        Assert.Equal(output, (await _ground.RunAsync(["advise", "--scenario", "planted", "--json", "-"])).Output);
    }

    [Fact]
    public async Task Another_trace_takes_the_place_of_the_scenarios()
    {
        Plant();
        await File.WriteAllTextAsync(_world.PathOf("none.txt"), string.Join(' ', Enumerable.Repeat(2, 72)));
        using var json = JsonDocument.Parse((await _ground.RunAsync(["advise", "--scenario", "planted", "--trace", _world.PathOf("none.txt"), "--json", "-"])).Output);

        // The trace ends after half a day; it is that half that the month is made of.
        Assert.Equal(0.5, json.RootElement.GetProperty("days").GetDouble());
    }

    [Theory]
    [InlineData("advise", "Name what to advise on: --scenario or --statistics.")]
    [InlineData("advise --days 1", "--scenario is empty")]
    [InlineData("advise --scenario elsewhere.json", "there is no such file")]
    [InlineData("advise --scenario planted --policy nobody", "There is no policy 'nobody'.")]
    [InlineData("advise --scenario planted --trace FOLDER/none", "There is no trace")]
    [InlineData("advise --scenario planted --days 0", "--days 0 is no number above 0")]
    [InlineData("advise --scenario planted --json FOLDER", "is a folder")]
    [InlineData("advise --scenario planted --json FOLDER/none/a.json", "cannot be written")]
    [InlineData("advise --scenario planted --statistics FOLDER/a.json", "--statistics stands alone")]
    [InlineData("advise --statistics FOLDER/a.json --policy ours", "--statistics stands alone")]
    [InlineData("advise --statistics FOLDER/none.json --json FOLDER/out.json", "cannot be read")]
    [InlineData("advise --statistics FOLDER/trace.jsonl --json FOLDER/out.json", "is not JSON")]
    public async Task A_mistake_is_told_and_nothing_is_written(string line, string message)
    {
        Plant();
        var (exitCode, output, error) = await _ground.RunAsync(line.Replace("FOLDER", Path.GetDirectoryName(_ground.PathOf("x")), StringComparison.Ordinal).Split(' '));

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Contains("'advise --help' tells how it is used.", error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Theory]
    [InlineData("[]", "$: has no endpoint")]
    [InlineData("[{}]", "$[0]: is no view of an endpoint")]
    [InlineData("[3]", "$[0]: is no view of an endpoint")]
    [InlineData("{\"configuration\": null, \"status\": null}", "$: is no view of an endpoint")]
    public async Task Statistics_that_are_none_are_told(string statistics, string message)
    {
        await File.WriteAllTextAsync(_world.PathOf("statistics.json"), statistics);
        var (exitCode, output, error) = await _ground.RunAsync(["advise", "--statistics", _world.PathOf("statistics.json"), "--json", _ground.PathOf("out.json")]);

        Assert.Equal((2, ""), (exitCode, output));
        Assert.Contains(message, error, StringComparison.Ordinal);
        Assert.Empty(_ground.Files);
    }

    [Fact]
    public async Task Help_tells_the_options()
    {
        var (exitCode, output, _) = await _ground.RunAsync(["advise", "--help"]);

        Assert.Equal(0, exitCode);
        Assert.All((string[])["--scenario", "--policy", "--trace", "--statistics", "--days", "--rate-scale", "--json"], option => Assert.Contains(option, output, StringComparison.Ordinal));
    }

    private void Plant()
    {
        var scenario = _world.Scenario(
            AdviceWorld.Steady(1),
            [AdviceWorld.Model("m", AdviceWorld.Realtime, AdviceWorld.Serverless)],
            AdviceWorld.Tenant("t", "m", TrafficClass.Medium));
        _ground.Bench = _ground.Bench with
        {
            Policies = Benches.Shipped.Policies,
            Read = (name, overrides) => name == "planted" ? scenario with { Days = overrides.Days ?? scenario.Days } : Benches.Shipped.Read(name, overrides),
        };
    }
}
