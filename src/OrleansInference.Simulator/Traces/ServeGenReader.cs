using System.Collections.Immutable;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Reads rates and clients; of the rates only the windows of the scenario's tenants and days are kept.</summary>
internal static class ServeGenReader
{
    public static ServeGenArrivals Open(Scenario scenario)
    {
        var file = scenario.Trace.Clients ?? throw new ArgumentException("The trace needs a file of clients.", nameof(scenario));
        var lengths = ReadClients(file);
        var untilSeconds = scenario.Days * 86_400;
        var windows = new Dictionary<(string, string), List<RateWindow>>();
        foreach (var tenant in scenario.Tenants)
        {
            windows[KeyOf(tenant)] = [];
        }

        var seen = ReadWindows(scenario.Trace.File, windows, untilSeconds);
        var problems = new List<ScenarioProblem>();
        foreach (var (model, client) in windows.Keys)
        {
            if (!lengths.ContainsKey((model, client)))
            {
                problems.Add(new(file, "", $"has no client '{client}' of {model}; a tenant of the scenario is that client."));
            }

            if (!seen.Contains((model, client)))
            {
                problems.Add(new(scenario.Trace.File, "", $"has no window of client '{client}' of {model}; a tenant of the scenario is that client."));
            }
        }

        if (problems.Count > 0)
        {
            throw new ScenarioException(problems);
        }

        var kept = windows.ToDictionary(static each => each.Key, static each => each.Value.ToArray());
        var clients = scenario.Tenants.Select(tenant =>
        {
            var key = KeyOf(tenant);
            return new RateClient(kept[key], lengths[key].Input, lengths[key].Output);
        });
        return new([.. clients], [.. scenario.Tenants.Select(static each => each.Tenant)], scenario.Seed, scenario.RateScale, untilSeconds);
    }

    private static (string Model, string Client) KeyOf(ScenarioTenant tenant) => (tenant.TraceModel ?? tenant.Model, tenant.Client ?? "");

    public static Dictionary<(string Model, string Client), (LengthQuantiles Input, LengthQuantiles Output)> ReadClients(string file)
    {
        using var table = new TraceTable(file);
        var (model, client) = (table.Column("model"), table.Column("client"));
        var (input, output) = (Quantiles(table, file, "input_"), Quantiles(table, file, "output_"));
        var clients = new Dictionary<(string, string), (LengthQuantiles, LengthQuantiles)>();
        while (table.Next())
        {
            if (!clients.TryAdd((table.Text(model), table.Text(client)), (Lengths(table, input), Lengths(table, output))))
            {
                throw table.Wrong(client, $"'{table.Text(client)}' of {table.Text(model)} is there twice");
            }
        }

        return clients;
    }

    private static HashSet<(string, string)> ReadWindows(string file, Dictionary<(string, string), List<RateWindow>> windows, double untilSeconds)
    {
        using var table = new TraceTable(file);
        var (model, client, start, rate) = (table.Column("model"), table.Column("client"), table.Column("start_s"), table.Column("rate_rps"));
        var (dist, shape) = (table.Column("dist"), table.Column("shape"));
        var seen = new HashSet<(string, string)>();
        while (table.Next())
        {
            var key = (table.Text(model), table.Text(client));
            if (!windows.TryGetValue(key, out var kept))
            {
                continue;
            }

            seen.Add(key);
            var window = new RateWindow(table.Number(start, Bound.NotNegative), table.Number(rate, Bound.Positive), IsWeibull(table, dist), table.Number(shape, Bound.Positive));
            if (kept.Count > 0 && window.StartSeconds < kept[^1].StartSeconds + ServeGenArrivals.WindowSeconds)
            {
                throw table.Wrong(start, $"is {window.StartSeconds}, within or before the client's window before it; windows must be in order");
            }

            if (window.StartSeconds < untilSeconds)
            {
                kept.Add(window);
            }
        }

        return seen;
    }

    private static bool IsWeibull(TraceTable table, int dist) => table.Text(dist) switch
    {
        "Weibull" => true,
        "Gamma" => false,
        var other => throw table.Wrong(dist, $"'{other}' is unknown; it must be Gamma or Weibull"),
    };

    private static (int Column, double Level)[] Quantiles(TraceTable table, string file, string prefix)
    {
        var found = new List<(int, double)>();
        for (var i = 0; i < table.Columns.Count; i++)
        {
            if (table.Columns[i].StartsWith(prefix, StringComparison.Ordinal) && LengthQuantiles.TryLevel(table.Columns[i][prefix.Length..], out var level))
            {
                found.Add((i, level));
            }
        }

        return found.Count > 0 ? [.. found] : throw new ScenarioException(file, "line 1", $"has no quantiles of lengths; add columns such as {prefix}p50.");
    }

    private static LengthQuantiles Lengths(TraceTable table, (int Column, double Level)[] quantiles)
    {
        var points = quantiles.Select(each => (each.Level, table.Number(each.Column, Bound.NotNegative))).OrderBy(static each => each.Level).ToImmutableArray();
        try
        {
            return new(points);
        }
        catch (ArgumentException)
        {
            throw table.Wrong(quantiles[0].Column, "and the quantiles after it do not rise");
        }
    }
}
