using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Traces;

/// <summary>Opens the arrivals of a scenario.</summary>
public static class TraceReader
{
    /// <summary>The arrivals of a scenario, read as they are needed.</summary>
    public static IArrivals Open(Scenario scenario)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        throw new NotSupportedException($"There is no reader of {scenario.Trace.Format}.");
    }
}
