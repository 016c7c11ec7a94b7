using System.Diagnostics;
using System.Text.Json;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Benchmarks.Simulation;

/// <summary>How fast the simulator goes through the shipped week, with what memory, and what the router's policy costs there beside the least for everything in time and for what it attained.</summary>
internal static class SimulatorSuite
{
    private const string Week = "servegen-week";
    private const string Policy = "ours";

    public static async Task RunAsync(Figures figures)
    {
        figures.Say("a day of the week, in this process");
        var day = ScenarioReader.Read(ScenarioReader.Find(Week), new() { Days = 1 });
        var result = World.Measure(day, PolicyChoices.All.Single(static choice => choice.Name == Policy).Make(day, CancellationToken.None));
        figures.Print("simulator_requests_per_second_on_one_core", result.Requests / result.WallSeconds, "requests/s", 500_000, Better.High);

        figures.Say("the same two hours twice, as commands");
        var first = await CompareAsync("0.083");
        var second = await CompareAsync("0.083");
        figures.Print("simulator_same_seed_same_bytes", first.Json == second.Json ? 1 : 0, "1 = yes", 1, Better.High);

        figures.Say("the whole week and its lower bound, as a command");
        var week = await CompareAsync("7");
        figures.Print("simulator_week", week.Seconds, "s", 300, Better.Low);
        figures.Print("simulator_week_peak_memory", week.PeakMegabytes, "MB", 1000, Better.Low);

        using var document = JsonDocument.Parse(week.Json);
        var policy = document.RootElement.GetProperty("policies")[0];
        figures.Print("week_cost", policy.GetProperty("costUsd").GetDouble(), "USD", null, Better.Low);
        figures.Print("week_cost_over_lower_bound_of_everything_in_time", policy.GetProperty("costUsd").GetDouble() / document.RootElement.GetProperty("lowerBoundUsd").GetDouble(), "x", null, Better.Low);
        figures.Print("week_cost_over_lower_bound_of_what_it_attained", policy.GetProperty("costUsd").GetDouble() / policy.GetProperty("attainedLowerBoundUsd").GetDouble(), "x", 1.20, Better.Low);
        foreach (var (trafficClass, limit) in new[] { ("High", 99.0), ("Medium", 99.9), ("Low", 99.9) })
        {
            figures.Print($"week_attainment_{trafficClass}", 100 * policy.GetProperty("attainment").GetProperty(trafficClass).GetDouble(), "%", limit, Better.High);
        }
    }

    private static async Task<(string Json, double Seconds, double PeakMegabytes)> CompareAsync(string days)
    {
        var program = typeof(World).Assembly.Location;
        using var process = new Process
        {
            StartInfo = new("dotnet", [program, "compare", "--scenario", Week, "--policies", Policy, "--days", days, "--json", "-"]) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        var began = Stopwatch.GetTimestamp();
        process.Start();
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        var peak = 0L;
        while (!process.HasExited)
        {
            process.Refresh();
            peak = process.HasExited ? peak : Math.Max(peak, process.PeakWorkingSet64);
            await Task.Delay(100);
        }

        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        return process.ExitCode == 0
            ? (await output, seconds, peak / 1e6)
            : throw new InvalidOperationException($"The simulator ended with exit code {process.ExitCode}: {await errors}");
    }
}
