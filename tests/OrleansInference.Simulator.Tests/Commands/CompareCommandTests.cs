using System.Text.Json;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Tests.Commands;

public sealed class CompareCommandTests : IDisposable
{
    private readonly SmallGround _ground = new();

    public void Dispose() => _ground.Dispose();

    [Fact]
    public async Task Figures_of_each_policy_are_in_the_JSON_in_the_order_asked_for()
    {
        var (exitCode, output, _) = await _ground.RunAsync(["compare", "--scenario", "small", "--policies", "target-tracking,always-on", "--json", _ground.PathOf("out.json")]);

        Assert.Equal(0, exitCode);
        Assert.Contains("always-on", output, StringComparison.Ordinal);
        Assert.Equal(["out.json"], _ground.Files);
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(_ground.PathOf("out.json")));
        Assert.Equal("small", json.RootElement.GetProperty("scenario").GetString());
        Assert.Equal("1.234567891", json.RootElement.GetProperty("lowerBoundUsd").GetRawText());
        var policies = json.RootElement.GetProperty("policies").EnumerateArray().ToList();
        Assert.Equal(["target-tracking", "always-on"], policies.Select(static policy => policy.GetProperty("name").GetString()));
        foreach (var policy in policies)
        {
            Assert.Equal(1080, policy.GetProperty("requests").GetInt64() + policy.GetProperty("infeasible").GetInt64());
            Assert.Equal(3, policy.GetProperty("infeasible").GetInt64());
            foreach (var byClass in (string[])["attainment", "p50Seconds", "p99Seconds"])
            {
                Assert.Equal(["High", "Medium", "Low"], policy.GetProperty(byClass).EnumerateObject().Select(static each => each.Name));
                Assert.All(policy.GetProperty(byClass).EnumerateObject(), static each => Assert.True(each.Value.GetDouble() >= 0));
            }

            Assert.InRange(policy.GetProperty("attainment").GetProperty("Low").GetDouble(), 0.9, 0.999);
            Assert.True(policy.GetProperty("instanceHours").GetDouble() > 0);
            Assert.InRange(policy.GetProperty("utilization").GetDouble(), 0.01, 1);
            Assert.Equal(0, policy.GetProperty("scaleChanges").GetInt32());

            // But for one, each miss of Low saves a tenth of a dollar, rounded up by half a percent at most.
            var missed = policy.GetProperty("tenants").EnumerateArray().Where(static tenant => tenant.GetProperty("class").GetString() == "Low").Sum(static tenant => tenant.GetProperty("requests").GetInt64() - tenant.GetProperty("attained").GetInt64());
            Assert.InRange(missed, 2, 10);
            Assert.Equal(1.234567891 - (0.1 * (missed - 1)), policy.GetProperty("attainedLowerBoundUsd").GetDouble(), 0.006);
            Assert.Equal(policy.GetProperty("costUsd").GetDecimal(), policy.GetProperty("lanes").EnumerateArray().Sum(static lane => lane.GetProperty("costUsd").GetDecimal()));
            Assert.Equal(policy.GetProperty("costUsd").GetDecimal(), policy.GetProperty("tenants").EnumerateArray().Sum(static tenant => tenant.GetProperty("costUsd").GetDecimal()));
        }
    }

    [Fact]
    public async Task What_became_of_a_budget_is_in_the_table_the_JSON_and_the_page_of_the_policies_that_know_it()
    {
        var (bench, small) = (_ground.Bench, _ground.Scenario());
        small = small with { Tenants = [small.Tenants[0], small.Tenants[1] with { Budget = new() { Limit = Money.FromDollars(0.01m), WindowSeconds = 3600 } }] };
        _ground.Bench = bench with { Policies = [.. bench.Policies, .. PolicyChoices.All.Where(static choice => choice.Name == "ours")], Read = (_, _) => small };

        var (exitCode, output, _) = await _ground.RunAsync(["compare", "--scenario", "small", "--policies", "always-on,ours", "--json", _ground.PathOf("out.json"), "--report", _ground.PathOf("out.html")]);

        Assert.Equal(0, exitCode);
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(_ground.PathOf("out.json")));
        var budgets = json.RootElement.GetProperty("policies").EnumerateArray()
            .SelectMany(static policy => policy.GetProperty("tenants").EnumerateArray().Where(static tenant => tenant.TryGetProperty("budget", out _)).Select(tenant => (Policy: policy.GetProperty("name").GetString(), Tenant: tenant)))
            .ToList();
        var (policy, tenant) = Assert.Single(budgets);
        Assert.Equal(("ours", "bulk"), (policy, tenant.GetProperty("tenant").GetString()));
        var budget = tenant.GetProperty("budget");
        Assert.Equal((0.01m, 3600), (budget.GetProperty("limitUsd").GetDecimal(), budget.GetProperty("windowSeconds").GetInt32()));
        Assert.InRange(budget.GetProperty("mostInWindowUsd").GetDecimal(), 0.001m, 0.01m);
        Assert.InRange(budget.GetProperty("chargedUsd").GetDecimal(), budget.GetProperty("mostInWindowUsd").GetDecimal(), 0.03m);
        Assert.InRange(budget.GetProperty("refused").GetInt64(), 1, tenant.GetProperty("requests").GetInt64() - tenant.GetProperty("attained").GetInt64());
        var charged = Numbers.Dollars(Money.FromDollars(budget.GetProperty("chargedUsd").GetDecimal()));
        Assert.Contains(charged, output, StringComparison.Ordinal);
        Assert.Contains($"<td>{charged}</td>", await File.ReadAllTextAsync(_ground.PathOf("out.html")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        async Task<(byte[] Json, byte[] Report)> RunAsync(string name, params string[] more)
        {
            var (json, report) = (_ground.PathOf(name + ".json"), _ground.PathOf(name + ".html"));
            Assert.Equal(0, (await _ground.RunAsync(["compare", "--scenario", "small", "--json", json, "--report", report, .. more])).ExitCode);
            return (await File.ReadAllBytesAsync(json), await File.ReadAllBytesAsync(report));
        }

        var one = await RunAsync("one");
        var two = await RunAsync("two", "--parallel", "2");
        var three = await RunAsync("three", "--seed", "77");

        Assert.Equal(one.Json, two.Json);
        Assert.Equal(one.Report, two.Report);
        Assert.NotEqual(one.Json, three.Json);
    }

    [Fact]
    public async Task A_dash_writes_the_JSON_and_nothing_else_to_standard_output()
    {
        var (exitCode, output, error) = await _ground.RunAsync(["compare", "--scenario", "small", "--json", "-"]);

        Assert.Equal(0, exitCode);
        using var json = JsonDocument.Parse(output);
        Assert.Equal(2, json.RootElement.GetProperty("policies").GetArrayLength());
        Assert.Contains("Lower bound", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Days_rates_and_seed_replace_those_of_the_scenario()
    {
        var (exitCode, output, _) = await _ground.RunAsync(["compare", "--scenario", "small", "--days", "0.0625", "--seed", "18446744073709551615", "--rate-scale", "1", "--json", "-"]);

        Assert.Equal(0, exitCode);
        using var json = JsonDocument.Parse(output);
        Assert.Equal(540, json.RootElement.GetProperty("policies")[0].GetProperty("requests").GetInt64() + json.RootElement.GetProperty("policies")[0].GetProperty("infeasible").GetInt64());
        Assert.Equal(ulong.MaxValue, json.RootElement.GetProperty("seed").GetUInt64());
    }

    [Fact]
    public async Task Nothing_is_written_when_a_policy_fails()
    {
        _ground.Arrived = static () => throw new InvalidOperationException("defect");

        await Assert.ThrowsAsync<InvalidOperationException>(() => _ground.RunAsync(["compare", "--scenario", "small", "--json", _ground.PathOf("out.json"), "--report", _ground.PathOf("out.html")]));

        Assert.Empty(_ground.Files);
    }

    [Fact]
    public async Task Ending_it_writes_nothing_and_leaves_what_was_there()
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
        await File.WriteAllTextAsync(_ground.PathOf("out.json"), "before");

        var (exitCode, output, error) = await _ground.RunAsync(["compare", "--scenario", "small", "--json", _ground.PathOf("out.json"), "--report", _ground.PathOf("out.html")], end.Token);

        Assert.Equal(130, exitCode);
        Assert.Empty(output);
        Assert.Contains("nothing was written", error, StringComparison.Ordinal);
        Assert.Equal(["out.json"], _ground.Files);
        Assert.Equal("before", await File.ReadAllTextAsync(_ground.PathOf("out.json")));
    }
}
