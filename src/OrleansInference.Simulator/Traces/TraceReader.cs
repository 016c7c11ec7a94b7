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
        var arrivals = OpenAll(scenario);
        return scenario.Tenants.Any(static tenant => tenant.IsSilent) ? new HeardArrivals(arrivals, scenario) : arrivals;
    }

    private static IArrivals OpenAll(Scenario scenario) =>
        scenario.Trace.Format switch
        {
            TraceFormat.ServeGen => ServeGenReader.Open(scenario),
            TraceFormat.AzureLlm => AzureLlmRows.Open(scenario),
            TraceFormat.Requests => RequestRows.Open(scenario),
            TraceFormat.Counts => new CountArrivals(scenario),
            _ => throw new NotSupportedException($"There is no reader of {scenario.Trace.Format}."),
        };

    /// <summary>Leaves out the requests of silent tenants.</summary>
    private sealed class HeardArrivals(IArrivals inner, Scenario scenario) : IArrivals
    {
        public bool TryNext(out Arrival arrival)
        {
            while (inner.TryNext(out arrival))
            {
                if (!scenario.Tenants[arrival.Tenant].IsSilent)
                {
                    return true;
                }
            }

            return false;
        }

        public void Dispose() => inner.Dispose();
    }
}
