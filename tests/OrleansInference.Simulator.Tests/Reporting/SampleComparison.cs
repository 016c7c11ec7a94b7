using System.Collections.Immutable;
using OrleansInference.Simulator.Measures;
using OrleansInference.Simulator.Reporting;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests.Reporting;

/// <summary>A comparison as a week of several policies may come out, without running one.</summary>
internal static class SampleComparison
{
    public static Comparison Create(int policies = 7, int tenants = 36, double days = 7)
    {
        var scenario = new Scenario
        {
            Name = "servegen <week> & more",
            Days = days,
            Trace = new() { Format = TraceFormat.Requests, File = "trace.jsonl" },
            Classes = [new(2, 0.99), new(300, 0.999), new(86_400, 0.999)],
            Models = [.. ((string[])["m-small", "m-medium", "m-large"]).Select(Model)],
            Tenants = [.. Enumerable.Range(0, tenants).Select(static i => new ScenarioTenant
            {
                Tenant = i == 0 ? "<script>alert('acme & \"Söhne\"')</script>" : $"tenant-{i}",
                Model = ((string[])["m-small", "m-medium", "m-large"])[i % 3],
                Class = (TrafficClass)(i / 3 % 3),
            })],
        };
        string[] names = ["static-peak", "target-tracking", "fixed-rule", "predictive", "ours", "ours-full-variants", "static-p99", "ours-without-valley-filling", "ours-without-pacing", "ours-without-forecast", "ours-without-ski-rental", "ours-without-deadline-batching"];
        return new()
        {
            Scenario = scenario,
            LowerBound = Money.FromDollars(2100.123456789m),
            Policies = [.. names.Take(policies).Select((name, index) => Result(scenario, name, index))],
            About = names.ToImmutableDictionary(static name => name, static name => $"What {name} does, in a line."),
            Command = "compare --scenario servegen-week --days 7 --rate-scale 1 --seed 1",
        };
    }

    private static ScenarioModel Model(string name) => new()
    {
        Model = name,
        Variants = [new() { Name = "full" }],
        Lanes = [new() { Lane = Lane.Realtime, MaxServiceSeconds = 60 }],
    };

    private static PolicyResult Result(Scenario scenario, string name, int index)
    {
        double[] factors = [4.2, 1.9, 1.5, 1.45, 1.11, 1.16, 2.7, 1.3, 1.2, 1.25, 1.18, 1.22];
        var factor = factors[index];
        var chance = new Chance(7, name);
        ClassTally[] classes = [Class(ref chance, 400_000, 0.985 + (0.01 * chance.Uniform()), 1.5, 0.6), Class(ref chance, 300_000, 0.998 + (0.002 * chance.Uniform()), 12, 1.2), Class(ref chance, 900_000, index == 0 ? 1 : 0.9995, index == 0 ? 9 : 9000, 1.6)];
        var cost = Money.FromNanos((long)(2100e9 * factor));
        var tenants = scenario.Tenants.Select((_, i) => Money.FromNanos((long)(cost.Nanos * 0.97 / (i + 1) / 4.2))).ToImmutableArray();
        var batch = index is 2 or >= 4 ? cost.Nanos / 5 : 0;
        return new()
        {
            Name = name,
            How = index == 0 ? "" : "Days 1 to 3: target value 0.7 of 0.5, 0.6, 0.7, 0.8 was the cheapest that met every class's target.\nScale-in cooldown 300 s as documented.",
            Cost = cost,
            LowerBound = Money.FromDollars(2000.123456789m),
            Classes = [.. classes],
            InstanceHours = 1000 * factor,
            Utilization = 0.9 / factor,
            ScaleChanges = index * 137,
            Lanes =
            [
                (Lane.Realtime, Money.FromNanos(cost.Nanos - (2 * batch) - (index == 4 ? batch / 9 : 0)), 900_000),
                (Lane.Serverless, Money.FromNanos(index == 4 ? batch / 9 : 0), index == 4 ? 12_000 : 0),
                (Lane.Async, Money.FromNanos(batch), 300_000),
                (Lane.Batch, Money.FromNanos(batch), 400_000),
            ],
            Pools = [],
            TenantCosts = tenants,
            Tenants = [.. tenants.Select(static (_, i) => new TenantTally { Requests = 10_000 - i, Attained = 9_990 - (2 * i) })],
            Timeline = [.. scenario.Models.Select((_, model) => Timeline(scenario.Days, factor, model, index, name))],
        };
    }

    private static ClassTally Class(ref Chance chance, long requests, double attainment, double median, double spread)
    {
        var tally = new ClassTally { Requests = requests, Infeasible = 12, Attained = (long)(requests * attainment) };
        for (var i = 0; i < 5000; i++)
        {
            tally.Latency.Add(median * 1000 * chance.LogNormal(spread));
        }

        return tally;
    }

    private static ImmutableArray<LoadPoint> Timeline(double days, double factor, int model, int index, string name)
    {
        var chance = new Chance(9, name);
        var points = ImmutableArray.CreateBuilder<LoadPoint>();
        for (var step = 0; step < days * 144; step++)
        {
            var day = 1 + Math.Sin((step / 144.0 * 2 * Math.PI) - 2);
            var load = 40 * (model + 1) * (0.3 + day) * (1 + (0.2 * chance.Normal()));
            var slots = index is 0 or 6 ? 300 * (model + 1) : 8 * Math.Ceiling(load * factor / 8);
            points.Add(new((int)slots, (int)Math.Clamp(load, 0, slots), (int)Math.Max(0, (load - slots + 5) * 20 * chance.Uniform())));
        }

        return points.ToImmutable();
    }
}
