using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Scenarios;

public sealed class ScenarioReaderTests
{
    private static readonly string Shipped = File.ReadAllText(ScenarioReader.Find("servegen-week"))
        .Replace("../traces", Path.Combine(AppContext.BaseDirectory, "data", "traces"), StringComparison.Ordinal);

    [Theory]
    [InlineData("servegen-week", 60.0)]
    [InlineData("small-models-week", null)]
    public void Shipped_scenarios_are_read_by_name(string name, double? decode)
    {
        var scenario = ScenarioReader.Read(ScenarioReader.Find(name), new() { Days = 2, Seed = 9 });
        Assert.Equal(36, scenario.Tenants.Length);
        Assert.Equal((2.0, 9ul, 1.0), (scenario.Days, scenario.Seed, scenario.RateScale));
        Assert.Equal(decode, scenario.Models[2].Variants[0].DecodeTokensPerSecond);
    }

    [Theory]
    [InlineData("\"days\": 7", "\"days\": 0", "$.days")]
    [InlineData("\"lane\": \"Realtime\"", "\"lane\": \"Spot\"", "$.models[0].lanes[0].lane")]
    [InlineData("\"class\": \"High\"", "\"class\": \"Top\"", "$.tenants[0].class")]
    [InlineData("\"format\": \"servegen\"", "\"format\": \"other\"", "$.trace.format")]
    [InlineData("\"client\": \"2\"", "\"client\": \"9999\"", "$.tenants[0].client")]
    [InlineData("\"tenant\": \"m-small-10\"", "\"tenant\": \"m-small-2\"", "$.tenants[1].tenant")]
    [InlineData("\"pricePerHourUsd\": 0.7364", "\"pricePerHourUsd\": \"much\"", "$.models[0].variants[0].pricePerHourUsd")]
    [InlineData("\"concurrencyPerInstance\": 8", "\"concurrency\": 8", "$.models[0].variants[0].concurrencyPerInstance")]
    [InlineData("\"quality\": 1.0", "\"quality\": 0.5", "$.tenants[0].minQuality")]
    [InlineData("\"lanes\": [", "\"lanes\": [], \"x\": [", "$.models[0].lanes")]
    [InlineData("\"Medium\": {", "\"Middle\": {", "$.classes.Middle")]
    [InlineData("\"model\": \"m-small\",\n   \"client\"", "\"model\": \"m-tiny\",\n   \"client\"", "$.tenants[0].model")]
    [InlineData("\"days\": 7", "\"oneChangeAtATime\": 1, \"days\": 7", "$.oneChangeAtATime")]
    [InlineData("clients.csv", "nowhere.csv", "$.trace.clients")]
    [InlineData("\"tenant\": \"m-small-2\"", "\"budget\": 5, \"tenant\": \"m-small-2\"", "$.tenants[0].budget")]
    [InlineData("\"tenant\": \"m-small-2\"", "\"budget\": {}, \"tenant\": \"m-small-2\"", "$.tenants[0].budget.limitUsd")]
    [InlineData("\"tenant\": \"m-small-2\"", "\"budget\": {\"limitUsd\": 1, \"windowSeconds\": 59}, \"tenant\": \"m-small-2\"", "$.tenants[0].budget.windowSeconds")]
    [InlineData("\"tenant\": \"m-small-2\"", "\"budget\": {\"limitUsd\": 1, \"lowBudget\": [\"Hold\", \"Pray\"]}, \"tenant\": \"m-small-2\"", "$.tenants[0].budget.lowBudget[1]")]
    [InlineData("\"tenant\": \"m-small-2\"", "\"budget\": {\"limitUsd\": 1, \"lowBudget\": \"Hold\"}, \"tenant\": \"m-small-2\"", "$.tenants[0].budget.lowBudget")]
    public void What_is_wrong_is_named_by_file_and_path(string from, string to, string path)
    {
        var at = Shipped.IndexOf(from, StringComparison.Ordinal);
        Assert.True(at >= 0, from);
        var wrong = Refused(Shipped[..at] + to + Shipped[(at + from.Length)..], out var file);
        Assert.Contains(wrong.Problems, each => each.Where == path && each.File == file);
    }

    [Fact]
    public void Whether_changes_may_overlap_is_read_and_can_be_set()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("oi-scenario-").FullName, "s.json");
        File.WriteAllText(file, Shipped.Replace("\"days\": 7", "\"oneChangeAtATime\": true, \"days\": 7", StringComparison.Ordinal));
        Assert.True(ScenarioReader.Read(file).OneChangeAtATime);
        Assert.False(ScenarioReader.Read(file, new() { OneChangeAtATime = false }).OneChangeAtATime);
        Assert.False(ScenarioReader.Read(ScenarioReader.Find("servegen-week")).OneChangeAtATime);
        Directory.Delete(Path.GetDirectoryName(file)!, true);
    }

    [Fact]
    public void A_budget_is_read_with_what_it_leaves_out()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("oi-scenario-").FullName, "s.json");
        File.WriteAllText(file, Shipped
            .Replace("\"tenant\": \"m-small-2\"", "\"budget\": {\"limitUsd\": 2.5}, \"tenant\": \"m-small-2\"", StringComparison.Ordinal)
            .Replace("\"tenant\": \"m-small-10\"", "\"budget\": {\"limitUsd\": 3, \"windowSeconds\": 3600, \"lowBudget\": [\"hold\"]}, \"tenant\": \"m-small-10\"", StringComparison.Ordinal));
        var tenants = ScenarioReader.Read(file).Tenants;
        Assert.Equal((Money.FromDollars(2.5m), 86_400), (tenants[0].Budget!.Limit, tenants[0].Budget!.WindowSeconds));
        Assert.Equal([LowBudgetStep.CheaperLane, LowBudgetStep.SmallerVariant, LowBudgetStep.Refuse], tenants[0].Budget!.LowBudget);
        Assert.Equal((Money.FromDollars(3m), 3600), (tenants[1].Budget!.Limit, tenants[1].Budget!.WindowSeconds));
        Assert.Equal([LowBudgetStep.Hold], tenants[1].Budget!.LowBudget);
        Assert.All(tenants.Skip(2), static tenant => Assert.Null(tenant.Budget));
    }

    [Fact]
    public void All_problems_are_told_at_once()
    {
        var wrong = Refused("""{"days": -1, "rateScale": 0, "models": [], "tenants": []}""", out _);
        Assert.Equal(
            ["$.classes", "$.days", "$.models", "$.rateScale", "$.tenants", "$.trace"],
            wrong.Problems.Select(static each => each.Where).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_file_that_is_not_JSON_is_refused_by_its_line()
    {
        var wrong = Refused("{\n \"days\": ,\n}", out _);
        Assert.Contains("line 2", Assert.Single(wrong.Problems).Where, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_of_nothing_is_refused_with_the_names_there_are() =>
        Assert.Contains("servegen-week", Assert.Throws<ScenarioException>(static () => ScenarioReader.Find("nothing")).Message, StringComparison.Ordinal);

    private static ScenarioException Refused(string json, out string file)
    {
        file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, json);
            var path = file;
            return Assert.Throws<ScenarioException>(() => ScenarioReader.Read(path));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
