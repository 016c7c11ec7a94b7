using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Scenarios;

/// <summary>The first requests of each model: what an operator who has tried a model with some of its traffic knows of it before the first day.</summary>
public sealed class FirstRequests
{
    private const int Enough = 200;
    private const int MostRead = 200_000;
    private readonly List<(int Input, int Output)>[] _lengths;

    private FirstRequests(int models) => _lengths = [.. Enumerable.Range(0, models).Select(static _ => new List<(int, int)>())];

    /// <summary>Reads them from the scenario's trace.</summary>
    public static FirstRequests Of(Scenario scenario)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        var first = new FirstRequests(scenario.Models.Length);
        var models = scenario.Tenants.Select(tenant => scenario.Models.IndexOf(scenario.Models.First(model => model.Model == tenant.Model))).ToArray();
        var missing = scenario.Models.Length;
        using var arrivals = TraceReader.Open(scenario);
        for (var read = 0; read < MostRead && missing > 0 && arrivals.TryNext(out var arrival); read++)
        {
            var lengths = first._lengths[models[arrival.Tenant]];
            if (lengths.Count < Enough)
            {
                lengths.Add((arrival.InputTokens, arrival.OutputTokens));
                missing -= lengths.Count == Enough ? 1 : 0;
            }
        }

        return first;
    }

    /// <summary>How long they take on a variant: the median and the 99th percentile in seconds; those of a request of middling length if there were none.</summary>
    /// <param name="model">Index of the model.</param>
    /// <param name="variant">The variant.</param>
    public (double P50, double P99) SecondsOn(int model, ScenarioVariant variant)
    {
        ArgumentNullException.ThrowIfNull(variant);
        double[] seconds = _lengths[model].Count == 0
            ? [variant.UnloadedSeconds(500, 150)]
            : [.. _lengths[model].Select(length => variant.UnloadedSeconds(length.Input, length.Output)).Order()];
        return (seconds[seconds.Length / 2], seconds[(int)(0.99 * (seconds.Length - 1))]);
    }
}
