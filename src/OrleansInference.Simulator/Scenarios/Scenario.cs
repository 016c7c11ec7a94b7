using System.Collections.Immutable;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>The ground on which policies are compared: traffic, models, lanes, prices and service times, the same for each.</summary>
public sealed record Scenario
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Seed of all that is drawn by chance.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Days, greater than 0.</summary>
    public double Days { get; init; } = 7;

    /// <summary>Factor on all arrival rates, greater than 0.</summary>
    public double RateScale { get; init; } = 1;

    /// <summary>Whether fleets are kept and billed until the days are over, though no more requests come.</summary>
    public bool IsBilledToTheEnd { get; init; }

    /// <summary>
    /// Whether an endpoint of which instances are coming cannot be changed until they serve, as SageMaker refuses it (UpdateEndpointWeightsAndCapacities while the
    /// endpoint is Updating); else changes may overlap.
    /// </summary>
    public bool OneChangeAtATime { get; init; }

    /// <summary>Where arrivals come from.</summary>
    public required TraceDefinition Trace { get; init; }

    /// <summary>Terms by <see cref="TrafficClass"/>.</summary>
    public required ImmutableArray<ClassTerms> Classes { get; init; }

    /// <summary>Models.</summary>
    public required ImmutableArray<ScenarioModel> Models { get; init; }

    /// <summary>Tenants.</summary>
    public required ImmutableArray<ScenarioTenant> Tenants { get; init; }
}

/// <summary>The forms of a trace.</summary>
public enum TraceFormat
{
    /// <summary>Rates, burstiness and lengths by client and window.</summary>
    ServeGen,

    /// <summary>CSV <c>TIMESTAMP,ContextTokens,GeneratedTokens</c>.</summary>
    AzureLlm,

    /// <summary>JSON lines <c>{"timestamp", "input_length", "output_length"}</c>.</summary>
    Requests,

    /// <summary>Whitespace-separated numbers of requests per step.</summary>
    Counts,
}

/// <summary>A trace's files and form. Paths are absolute.</summary>
public sealed record TraceDefinition
{
    /// <summary>The form.</summary>
    public required TraceFormat Format { get; init; }

    /// <summary>The file of requests, counts or rates.</summary>
    public required string File { get; init; }

    /// <summary>The file of clients; <see cref="TraceFormat.ServeGen"/> only.</summary>
    public string? Clients { get; init; }

    /// <summary>Length of a step in seconds; <see cref="TraceFormat.Counts"/> only.</summary>
    public double StepSeconds { get; init; }

    /// <summary>Input lengths; <see cref="TraceFormat.Counts"/> only.</summary>
    public LengthQuantiles? InputTokens { get; init; }

    /// <summary>Output lengths; <see cref="TraceFormat.Counts"/> only.</summary>
    public LengthQuantiles? OutputTokens { get; init; }
}

/// <summary>What a class asks for.</summary>
/// <param name="SlackSeconds">Seconds to the deadline beside one and a half unloaded service times.</param>
/// <param name="TargetAttainment">Share of requests, 0..1, that are to be answered in time.</param>
public sealed record ClassTerms(double SlackSeconds, double TargetAttainment);

/// <summary>A model: its builds, and the lanes in which each of them may run.</summary>
public sealed record ScenarioModel
{
    /// <summary>Its name.</summary>
    public required string Model { get; init; }

    /// <summary>Builds; the first of the highest quality is the full one.</summary>
    public required ImmutableArray<ScenarioVariant> Variants { get; init; }

    /// <summary>Lanes.</summary>
    public required ImmutableArray<ScenarioLane> Lanes { get; init; }

    /// <summary>Index of the full variant.</summary>
    public int Full
    {
        get
        {
            var best = 0;
            for (var i = 1; i < Variants.Length; i++)
            {
                best = Variants[i].Quality > Variants[best].Quality ? i : best;
            }

            return best;
        }
    }

    /// <summary>The full variant.</summary>
    public ScenarioVariant FullVariant => Variants[Full];

    /// <summary>The lane; null if the model has none such.</summary>
    public ScenarioLane? LaneOf(Lane lane) => Lanes.FirstOrDefault(each => each.Lane == lane);
}

/// <summary>One build of a model: what an instance of it costs, and how fast it works.</summary>
public sealed record ScenarioVariant
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Quality, 0..1.</summary>
    public double Quality { get; init; } = 1;

    /// <summary>Instance type.</summary>
    public string InstanceType { get; init; } = "";

    /// <summary>Price of an instance-hour.</summary>
    public Money PricePerHour { get; init; }

    /// <summary>Requests that an instance serves at a time.</summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>Seconds added to every request.</summary>
    public double BaseSeconds { get; init; }

    /// <summary>Input tokens per second.</summary>
    public double PrefillTokensPerSecond { get; init; }

    /// <summary>Output tokens per second; null: output length costs no time.</summary>
    public double? DecodeTokensPerSecond { get; init; }

    /// <summary>Seconds that a request takes when nothing else is in its way.</summary>
    public double UnloadedSeconds(int input, int output) =>
        BaseSeconds + (input / PrefillTokensPerSecond) + (DecodeTokensPerSecond is { } rate ? output / rate : 0);
}

/// <summary>A lane of a model. What a lane does not have is 0.</summary>
public sealed record ScenarioLane
{
    /// <summary>The lane.</summary>
    public required Lane Lane { get; init; }

    /// <summary>Fewest instances of the full variant.</summary>
    public int MinInstances { get; init; }

    /// <summary>Most instances of a variant.</summary>
    public int MaxInstances { get; init; }

    /// <summary>Seconds from asking for an instance until it serves.</summary>
    public double ProvisionSeconds { get; init; }

    /// <summary>Largest body in bytes.</summary>
    public long MaxPayloadBytes { get; init; } = long.MaxValue;

    /// <summary>Longest service in seconds.</summary>
    public double MaxServiceSeconds { get; init; }

    /// <summary>Serverless: memory in MB.</summary>
    public int MemoryMb { get; init; }

    /// <summary>Serverless: price of a GB-second.</summary>
    public Money PricePerGbSecond { get; init; }

    /// <summary>Serverless: most executions at a time.</summary>
    public int MaxConcurrency { get; init; }

    /// <summary>Serverless: seconds of a cold start.</summary>
    public double ColdStartSeconds { get; init; }

    /// <summary>Serverless: seconds that an environment stays warm after use.</summary>
    public double KeepWarmSeconds { get; init; }

    /// <summary>Serverless: speed relative to an instance's.</summary>
    public double SpeedFactor { get; init; } = 1;

    /// <summary>Batch: most jobs at a time.</summary>
    public int MaxJobs { get; init; }

    /// <summary>Batch: most instances of a job.</summary>
    public int MaxInstancesPerJob { get; init; }

    /// <summary>Batch: seconds until a job begins to work; they are billed.</summary>
    public double StartSeconds { get; init; }
}

/// <summary>A tenant: what it asks for, and where its arrivals come from.</summary>
public sealed record ScenarioTenant
{
    /// <summary>Its name.</summary>
    public required string Tenant { get; init; }

    /// <summary>The model that it uses.</summary>
    public required string Model { get; init; }

    /// <summary>The client of the trace that it is; <see cref="TraceFormat.ServeGen"/> only.</summary>
    public string? Client { get; init; }

    /// <summary>The class that it declares.</summary>
    public required TrafficClass Class { get; init; }

    /// <summary>Lowest quality that it accepts, 0..1.</summary>
    public double MinQuality { get; init; }

    /// <summary>Its share of the trace's requests, greater than 0; not for <see cref="TraceFormat.ServeGen"/>.</summary>
    public double Share { get; init; } = 1;

    /// <summary>The model under which the trace lists the client, where that is another than the one it uses.</summary>
    public string? TraceModel { get; init; }

    /// <summary>The build by whose service times its deadlines count; null: the full one of its model.</summary>
    public ScenarioVariant? DeadlineVariant { get; init; }

    /// <summary>What it may be charged; null: it can pay for everything.</summary>
    public ScenarioBudget? Budget { get; init; }

    /// <summary>Whether its requests are left out; its share of the trace is nobody's then.</summary>
    public bool IsSilent { get; init; }
}

/// <summary>A tenant's budget: the router keeps it, by what the tenant is charged (instance prices by the slot-second, as where a catalog names no tariff); what people run today does not know any.</summary>
public sealed record ScenarioBudget
{
    /// <summary>The most that is charged within any window, greater than 0.</summary>
    public required Money Limit { get; init; }

    /// <summary>Length of the rolling window in seconds, 60..31,622,400.</summary>
    public long WindowSeconds { get; init; } = 86_400;

    /// <summary>What is tried, in order, when the budget does not cover the best route.</summary>
    public ImmutableArray<LowBudgetStep> LowBudget { get; init; } = [LowBudgetStep.CheaperLane, LowBudgetStep.SmallerVariant, LowBudgetStep.Refuse];
}
