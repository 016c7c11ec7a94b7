using System.Text.Json;

namespace OrleansInference.Tests.Commands;

public sealed class ReplayCommandTests : IDisposable
{
    private readonly SmallGround _ground = new();

    public void Dispose() => _ground.Dispose();

    [Fact]
    public async Task Every_request_is_a_line_of_the_log_and_can_be_explained()
    {
        var log = _ground.PathOf("log.jsonl");
        var (exitCode, output, _) = await _ground.RunAsync(["replay", "--scenario", "small", "--policy", "always-on", "--log", log]);

        Assert.Equal(0, exitCode);
        Assert.Contains("1080 requests", output, StringComparison.Ordinal);
        Assert.Equal(["log.jsonl"], _ground.Files);
        var lines = (await File.ReadAllLinesAsync(log)).Select(static line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(Enumerable.Range(0, 1080).Select(static number => (long)number), lines.Select(static line => line.GetProperty("number").GetInt64()).Order());
        Assert.Equal(3, lines.Count(static line => line.GetProperty("outcome").GetString() == "Infeasible"));
        Assert.Equal(10, lines.Count(static line => line.GetProperty("outcome").GetString() == "Missed"));

        var served = lines.First(static line => line.GetProperty("inTime").GetBoolean() && line.GetProperty("tenant").GetString() == "bulk");
        Assert.True(served.GetProperty("endedSeconds").GetDecimal() > served.GetProperty("startedSeconds").GetDecimal());
        var (explained, text, _) = await _ground.RunAsync(["explain", "--log", log, "--request", served.GetProperty("number").GetInt64().ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        Assert.Equal(0, explained);
        foreach (var part in (string[])["bulk", "class Low", "chat", "answered in time", "the only pool there is", "chat-rt", "waitSeconds", "0.001", "chosen", "chat-small-rt", "quality 0.8 is below the floor 0.9"])
        {
            Assert.Contains(part, text, StringComparison.Ordinal);
        }

        Assert.Contains("given up by the policy", (await _ground.RunAsync(["explain", "--log", log, "--request", "99"])).Output, StringComparison.Ordinal);
        Assert.Contains("no lane allows a service as long", (await _ground.RunAsync(["explain", "--log", log, "--request", "0"])).Output, StringComparison.Ordinal);
        var (missing, _, error) = await _ground.RunAsync(["explain", "--log", log, "--request", "5000"]);
        Assert.Equal(2, missing);
        Assert.Contains("There is no request 5000", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_log_comes_to_the_attainment_that_the_comparison_tells()
    {
        var log = _ground.PathOf("log.jsonl");
        await _ground.RunAsync(["replay", "--scenario", "small", "--policy", "target-tracking", "--log", log]);
        using var json = JsonDocument.Parse((await _ground.RunAsync(["compare", "--scenario", "small", "--policies", "target-tracking", "--json", "-"])).Output);

        var high = (await File.ReadAllLinesAsync(log)).Select(static line => JsonDocument.Parse(line).RootElement)
            .Where(static line => line.GetProperty("class").GetString() == "High" && line.GetProperty("outcome").GetString() != "Infeasible").ToList();
        Assert.Equal(
            json.RootElement.GetProperty("policies")[0].GetProperty("attainment").GetProperty("High").GetDouble(),
            (double)high.Count(static line => line.GetProperty("inTime").GetBoolean()) / high.Count);
    }

    [Fact]
    public async Task Ending_it_leaves_no_log()
    {
        using var end = new CancellationTokenSource();
        var count = 0;
        _ground.Arrived = () =>
        {
            if (++count == 500)
            {
                end.Cancel();
            }
        };

        Assert.Equal(130, (await _ground.RunAsync(["replay", "--scenario", "small", "--policy", "always-on", "--log", _ground.PathOf("log.jsonl")], end.Token)).ExitCode);
        Assert.Empty(_ground.Files);
    }

    [Fact]
    public async Task A_failure_leaves_no_log()
    {
        var count = 0;
        _ground.Arrived = () =>
        {
            if (++count == 500)
            {
                throw new InvalidOperationException("defect");
            }
        };

        await Assert.ThrowsAsync<InvalidOperationException>(() => _ground.RunAsync(["replay", "--scenario", "small", "--policy", "always-on", "--log", _ground.PathOf("log.jsonl")]));
        Assert.Empty(_ground.Files);
    }
}
