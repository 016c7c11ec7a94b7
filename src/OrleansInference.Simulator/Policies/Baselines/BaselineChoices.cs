using System.Globalization;
using OrleansInference.Simulator.Fleet;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Policies.Baselines;

/// <summary>What people run today, each tuned on the scenario's first days as its user would.</summary>
public static class BaselineChoices
{
    private static readonly double[] Utilizations = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2];
    private static readonly double[] Backlogs = [0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12];

    /// <summary>The baselines.</summary>
    public static IReadOnlyList<PolicyChoice> All { get; } =
    [
        .. new PolicyChoice[]
        {
            new("static-peak", "All real-time on a fixed number of instances that covers the peak.", static (scenario, cancel) => Static("static-peak", "peak", 1, scenario, cancel)),
            new("static-p99", "All real-time on a fixed number of instances that covers 99 % of the minutes.", static (scenario, cancel) => Static("static-p99", "99th percentile", 0.99, scenario, cancel)),
            new("target-tracking", "All real-time, scaled by SageMaker's target tracking on invocations per instance.", static (scenario, cancel) => Tracked(scenario, new(), cancel)) { Vary = Tracked },
            new("fixed-rule", "High real-time, Medium asynchronous, Low in hourly batch jobs, each scaled as AWS does it.", static (scenario, cancel) => Ruled(scenario, new(), cancel)) { Vary = Ruled },
            new("predictive", "All real-time, scaled by forecast, with serverless or headroom for bursts (after MArk, USENIX ATC 2019).", static (scenario, cancel) => Make("predictive", scenario, Predictive, cancel)),
        }.Select(static choice => choice with { NeedsRealtime = true }),
    ];

    /// <summary>All of a model's requests on an asynchronous endpoint that goes down to none.</summary>
    public static IFleetPolicy Asynchronous(Scenario scenario, CancellationToken cancellationToken) => Make("asynchronous", scenario, static (whole, totals, model, cancel) =>
    {
        var lane = whole.Models[model].LaneOf(Lane.Async)!;
        var ground = new TuningGround(whole, model, totals, lane.MaxServiceSeconds, cancellationToken: cancel);
        var tuned = new Tuner(ground, setting => new AsyncFleet(model, Backlog(ground, setting)), Backlogs).Choose(LeastsOf(ground, lane, lane.MinInstances));
        return (new AsyncFleet(model, Backlog(ground, tuned)), "");
    }, cancellationToken);

    /// <summary>All of a model's requests on serverless executions.</summary>
    public static IFleetPolicy Serverless(Scenario scenario, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        return new BaselinePolicy("serverless", "", [.. scenario.Models.Select(static (_, model) => new ServerlessFleet(model))]);
    }

    private static BaselinePolicy Tracked(Scenario scenario, FleetVariation variation, CancellationToken cancellationToken) =>
        Make("target-tracking", scenario, (whole, totals, model, cancel) => TargetTracking(whole, totals, model, variation, cancel), cancellationToken);

    private static BaselinePolicy Ruled(Scenario scenario, FleetVariation variation, CancellationToken cancellationToken) =>
        Make("fixed-rule", scenario, (whole, totals, model, cancel) => FixedRule(whole, totals, model, variation, cancel), cancellationToken);

    private static BaselinePolicy Static(string name, string what, double share, Scenario scenario, CancellationToken cancellationToken) => Make(name, scenario, (whole, totals, model, cancel) =>
    {
        var definition = whole.Models[model];
        var lane = ModelFleet.RealtimeLane(definition);
        var load = Ground(whole, model, totals, cancel).Load;
        var instances = InstancesFor(load.Slots(share), definition, lane);
        return (new StaticFleet(model, instances), string.Create(CultureInfo.InvariantCulture, $"{Count(instances)} for the {what} of {load.Slots(share):0.#} slots"));
    }, cancellationToken);

    private static (ModelFleet Fleet, string How) TargetTracking(Scenario scenario, IReadOnlyList<long> totals, int model, FleetVariation variation, CancellationToken cancellationToken)
    {
        var ground = Ground(scenario, model, totals, cancellationToken);
        var lane = ModelFleet.RealtimeLane(ground.Definition);
        var tuned = new Tuner(ground, setting => new TargetTrackingFleet(model, Invocations(ground, setting, variation)), Utilizations).Choose(LeastsOf(ground, lane, Math.Max(1, lane.MinInstances)));
        var tracking = Invocations(ground, tuned, variation);
        return (new TargetTrackingFleet(model, tracking), Describe(tracking, tuned));
    }

    private static (ModelFleet Fleet, string How) FixedRule(Scenario scenario, IReadOnlyList<long> totals, int model, FleetVariation variation, CancellationToken cancellationToken)
    {
        var definition = scenario.Models[model];
        var realtime = ModelFleet.RealtimeLane(definition);
        var hasAsync = definition.LaneOf(Lane.Async) is not null;
        var hasBatch = definition.LaneOf(Lane.Batch) is not null;
        bool IsQueued(TrafficClass trafficClass, int input, int output) =>
            hasAsync && (trafficClass == TrafficClass.Medium || (trafficClass == TrafficClass.Low && !hasBatch) || (trafficClass == TrafficClass.High && FixedRuleFleet.IsLong(definition, input, output)));
        bool IsBatch(TrafficClass trafficClass) => hasBatch && trafficClass == TrafficClass.Low;

        var fast = new TuningGround(scenario, model, totals, realtime.MaxServiceSeconds, (arrival, trafficClass) => !IsBatch(trafficClass) && !IsQueued(trafficClass, arrival.InputTokens, arrival.OutputTokens), cancellationToken);
        var tuned = new Tuner(fast, setting => new TargetTrackingFleet(model, Invocations(fast, setting, variation)), Utilizations).Choose(LeastsOf(fast, realtime, Math.Max(1, realtime.MinInstances)));
        var tracking = Invocations(fast, tuned, variation);
        var how = $"real-time {Describe(tracking, tuned)}";
        if (definition.LaneOf(Lane.Async) is not { } lane)
        {
            return (new FixedRuleFleet(model, tracking, default, variation.JobHours), how);
        }

        var queued = new TuningGround(scenario, model, totals, lane.MaxServiceSeconds, (arrival, trafficClass) => IsQueued(trafficClass, arrival.InputTokens, arrival.OutputTokens), cancellationToken);
        var idle = new Tracking(1, 1, 1);
        var waiting = new Tuner(queued, setting => new FixedRuleFleet(model, idle, Backlog(queued, setting)), Backlogs).Choose(LeastsOf(queued, lane, lane.MinInstances));
        var backlog = Backlog(queued, waiting);
        return (new FixedRuleFleet(model, tracking, backlog, variation.JobHours), string.Create(CultureInfo.InvariantCulture, $"{how}; asynchronous backlog target {backlog.Target:0.#} per instance, at least {Count(backlog.Least)}"));
    }

    private static (ModelFleet Fleet, string How) Predictive(Scenario scenario, IReadOnlyList<long> totals, int model, CancellationToken cancellationToken)
    {
        var ground = Ground(scenario, model, totals, cancellationToken);
        var lane = ModelFleet.RealtimeLane(ground.Definition);
        PredictivePlan Plan(Setting setting) => new(setting.Level, setting.Least, First(ground, setting), ground.Load.MeanServiceSeconds);
        var fewest = ground.Definition.LaneOf(Lane.Serverless) is null ? Math.Max(1, lane.MinInstances) : lane.MinInstances;
        var tuned = new Tuner(ground, setting => new PredictiveFleet(model, Plan(setting)), Utilizations).Choose(LeastsOf(ground, lane, fewest));
        return (new PredictiveFleet(model, Plan(tuned)), string.Create(CultureInfo.InvariantCulture, $"target utilisation {100 * tuned.Level:0.#} %, at least {Count(tuned.Least)}"));
    }

    /// <summary>Makes a baseline of what is made for each model; models are tuned at the same time.</summary>
    private static BaselinePolicy Make(string name, Scenario scenario, Func<Scenario, IReadOnlyList<long>, int, CancellationToken, (ModelFleet Fleet, string How)> make, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        var totals = TuningGround.Count(scenario, cancellationToken);
        var made = new (ModelFleet Fleet, string How)[scenario.Models.Length];
        Parallel.For(0, made.Length, new ParallelOptions { CancellationToken = cancellationToken }, model => made[model] = make(scenario, totals, model, cancellationToken));
        var days = Math.Min(TuningGround.MostDays, scenario.Days);
        var how = string.Create(CultureInfo.InvariantCulture, $"tuned on the first {days:0.##} days: {string.Join("; ", scenario.Models.Select((model, index) => $"{model.Model}: {made[index].How}"))}");
        return new(name, how, [.. made.Select(static each => each.Fleet)]);
    }

    private static TuningGround Ground(Scenario scenario, int model, IReadOnlyList<long> totals, CancellationToken cancellationToken) =>
        new(scenario, model, totals, ModelFleet.RealtimeLane(scenario.Models[model]).MaxServiceSeconds, cancellationToken: cancellationToken);

    private static int[] LeastsOf(TuningGround ground, ScenarioLane lane, int fewest) =>
        Tuner.Leasts(fewest, Math.Max(fewest, lane.MaxInstances), ground.Load, ground.Definition.FullVariant.Concurrency);

    private static Tracking Invocations(TuningGround ground, Setting setting, FleetVariation variation)
    {
        var concurrency = ground.Definition.FullVariant.Concurrency;
        return new(concurrency * 60 * setting.Level / ground.Load.MeanServiceSeconds, setting.Least, Math.Max(1, First(ground, setting)), variation.ScaleInMinutes);
    }

    private static Tracking Backlog(TuningGround ground, Setting setting) =>
        new(ground.Definition.FullVariant.Concurrency * setting.Level, setting.Least, setting.Least);

    /// <summary>Instances at the beginning: what the mean load takes.</summary>
    private static int First(TuningGround ground, Setting setting) =>
        Math.Max(setting.Least, (int)Math.Ceiling(ground.Load.MeanSlots / (setting.Level * ground.Definition.FullVariant.Concurrency)));

    private static int InstancesFor(double slots, ScenarioModel model, ScenarioLane lane) =>
        (int)Math.Clamp(Math.Ceiling(slots / model.FullVariant.Concurrency), Math.Max(1, lane.MinInstances), Math.Max(1, lane.MaxInstances));

    private static string Describe(Tracking tracking, Setting tuned) =>
        string.Create(CultureInfo.InvariantCulture, $"target {tracking.Target:0.#} invocations per instance and minute ({100 * tuned.Level:0.#} % busy), at least {Count(tracking.Least)}");

    private static string Count(int instances) => instances == 1 ? "1 instance" : string.Create(CultureInfo.InvariantCulture, $"{instances} instances");
}
