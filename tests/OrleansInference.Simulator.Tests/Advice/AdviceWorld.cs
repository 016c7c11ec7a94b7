using System.Globalization;
using OrleansInference.Simulator.Advice;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Policies;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Tests.Advice;

/// <summary>Small scenarios with a known waste. A dollar an instance-hour; a request takes as many seconds as it has input tokens.</summary>
internal sealed class AdviceWorld : IDisposable
{
    /// <summary>Dollars of one instance in 30 days.</summary>
    public const double Instance = 720;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("advice-test");

    public static ScenarioLane Realtime { get; } = new() { Lane = Lane.Realtime, MaxInstances = 20, ProvisionSeconds = 240, MaxServiceSeconds = 60 };

    public static ScenarioLane Serverless { get; } = new()
    {
        Lane = Lane.Serverless,
        MemoryMb = 1024,
        PricePerGbSecond = Money.FromDollars(0.0001m),
        MaxConcurrency = 100,
        ColdStartSeconds = 1,
        KeepWarmSeconds = 300,
        MaxServiceSeconds = 60,
    };

    public static ScenarioLane Async { get; } = new() { Lane = Lane.Async, MaxInstances = 20, ProvisionSeconds = 240, MaxServiceSeconds = 3600 };

    public static ScenarioLane Batch { get; } = new() { Lane = Lane.Batch, MaxJobs = 2, MaxInstancesPerJob = 4, StartSeconds = 600, MaxServiceSeconds = 3600 };

    public static ScenarioVariant Full { get; } = new() { Name = "full", PricePerHour = Money.FromDollars(1), Concurrency = 4, PrefillTokensPerSecond = 1 };

    /// <summary>Steps of ten minutes a day.</summary>
    public static IEnumerable<int> Steady(int perStep) => Enumerable.Repeat(perStep, 144);

    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>A day of requests of one second each, by ten-minute steps, shared evenly by the tenants.</summary>
    public Scenario Scenario(IEnumerable<int> counts, IReadOnlyList<ScenarioModel> models, params ScenarioTenant[] tenants)
    {
        File.WriteAllLines(PathOf("counts.txt"), counts.Select(static count => count.ToString(CultureInfo.InvariantCulture)));
        var one = new LengthQuantiles([(0.5, 1)]);
        return new()
        {
            Name = "planted",
            Days = 1,
            Trace = new() { Format = TraceFormat.Counts, File = PathOf("counts.txt"), StepSeconds = 600, InputTokens = one, OutputTokens = one },
            Classes = [new(2, 0.95), new(900, 0.99), new(86_400, 0.99)],
            Models = [.. models],
            Tenants = [.. tenants],
        };
    }

    public static ScenarioModel Model(string name, params ScenarioLane[] lanes) => new() { Model = name, Variants = [Full], Lanes = [.. lanes] };

    public static ScenarioTenant Tenant(string name, string model, TrafficClass trafficClass) => new() { Tenant = name, Model = model, Class = trafficClass };

    public static AdviceReport Run(Scenario scenario, string policy = "target-tracking") => Run(scenario, PolicyChoices.All.Single(choice => choice.Name == policy), withRouter: false);

    public static AdviceReport Run(Scenario scenario, PolicyChoice policy, bool withRouter) =>
        new AdviceRun(scenario, policy, withRouter ? PolicyChoices.All.Single(static choice => choice.Name == "ours") : null).Run(CancellationToken.None);

    public void Dispose() => _folder.Delete(recursive: true);
}
