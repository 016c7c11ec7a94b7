using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Opens the arrivals of a scenario.</summary>
public static class TraceReader
{
    /// <summary>The arrivals of a scenario, read as they are needed.</summary>
    /// <exception cref="ScenarioException">The trace cannot be read.</exception>
    public static IArrivals Open(Scenario scenario)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        return scenario.Trace.Format switch
        {
            TraceFormat.ServeGen => ServeGenReader.Open(scenario),
            TraceFormat.AzureLlm => AzureLlmRows.Open(scenario),
            TraceFormat.Requests => RequestRows.Open(scenario),
            TraceFormat.Counts => new CountArrivals(scenario),
            _ => throw new NotSupportedException($"There is no reader of {scenario.Trace.Format}."),
        };
    }
}
