using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Traces;

public sealed class TraceReaderTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    [Fact]
    public void A_day_of_clients_comes_at_the_rates_of_their_windows_in_order_and_again()
    {
        var scenario = ScenarioReader.Read(ScenarioReader.Find("servegen-week"), new() { Days = 1 });
        var arrivals = All(scenario);
        Assert.All(arrivals.Zip(arrivals.Skip(1)), static pair => Assert.True(pair.First.AtUs <= pair.Second.AtUs));
        Assert.Equal(arrivals, All(scenario));
        Assert.NotEqual(arrivals.Take(100), All(scenario with { Seed = 2 }).Take(100));

        // The steadiest of the clients: 86,400 s at about 14 requests/s.
        var steady = arrivals.Count(each => scenario.Tenants[each.Tenant].Tenant == "m-small-36");
        Assert.InRange(steady / 86_400.0, 11, 17);
    }

    [Theory]
    [InlineData(1.0, 3, 3)]
    [InlineData(2.5, 6, 9)]
    public void Rows_of_requests_come_from_the_first_on(double rateScale, int least, int most)
    {
        Write("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47.6805900,5,6\n2023-11-16 18:15:47.6805900,7,8\n");
        var arrivals = All(Of(TraceFormat.AzureLlm) with { RateScale = rateScale });
        Assert.InRange(arrivals.Count, least, most);
        Assert.Equal((0, 374, 44), (arrivals[0].AtUs, arrivals[0].InputTokens, arrivals[0].OutputTokens));
        Assert.Equal(1_000_000, arrivals[^1].AtUs);
    }

    [Fact]
    public void Requests_are_split_by_share()
    {
        Write(string.Join('\n', Enumerable.Range(0, 4000).Select(static i => $$"""{"timestamp": {{i}}, "input_length": 3, "output_length": 4}""")));
        var arrivals = All(Of(TraceFormat.Requests));
        Assert.Equal(4000, arrivals.Count);
        Assert.InRange(arrivals.Count(static each => each.Tenant == 0), 2850, 3150);
    }

    [Fact]
    public void Counts_come_within_their_steps()
    {
        Write("3 0\n 5\t2");
        var arrivals = All(Of(TraceFormat.Counts));
        Assert.Equal([0, 0, 0, 2, 2, 2, 2, 2, 3, 3], arrivals.Select(static each => (int)(each.AtUs / 60_000_000)));
        Assert.Equal(arrivals.OrderBy(static each => each.AtUs), arrivals);
    }

    [Theory]
    [InlineData(TraceFormat.Requests, "{\"timestamp\": 5, \"input_length\": 1, \"output_length\": 1}\n{\"timestamp\": 4, \"input_length\": 1, \"output_length\": 1}", "line 2")]
    [InlineData(TraceFormat.Requests, "{\"timestamp\": 5}", "line 1")]
    [InlineData(TraceFormat.Requests, "nonsense", "line 1")]
    [InlineData(TraceFormat.AzureLlm, "a,b,c", "line 1")]
    [InlineData(TraceFormat.AzureLlm, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1", "line 2")]
    [InlineData(TraceFormat.Counts, "1 2\n3 x", "line 2")]
    public void A_malformed_row_is_named_by_its_line(TraceFormat format, string text, string line)
    {
        Write(text);
        var wrong = Assert.Throws<ScenarioException>(() => All(Of(format)));
        Assert.Equal((_file, line), (Assert.Single(wrong.Problems).File, wrong.Problems[0].Where));
    }

    public void Dispose() => File.Delete(_file);

    private static List<Arrival> All(Scenario scenario)
    {
        using var arrivals = TraceReader.Open(scenario);
        var all = new List<Arrival>();
        while (arrivals.TryNext(out var arrival))
        {
            all.Add(arrival);
        }

        return all;
    }

    private void Write(string text) => File.WriteAllText(_file, text);

    private Scenario Of(TraceFormat format) => new()
    {
        Name = "small",
        Days = 1,
        Trace = new() { Format = format, File = _file, StepSeconds = 60, InputTokens = new([(0, 1), (1, 9)]), OutputTokens = new([(0, 1), (1, 9)]) },
        Classes = [new(1, 1), new(1, 1), new(1, 1)],
        Models = [],
        Tenants =
        [
            new() { Tenant = "a", Model = "m", Class = TrafficClass.High, Share = 3 },
            new() { Tenant = "b", Model = "m", Class = TrafficClass.Low, Share = 1 },
        ],
    };
}
