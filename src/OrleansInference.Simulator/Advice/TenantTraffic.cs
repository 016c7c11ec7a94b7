using System.Collections.Immutable;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Advice;

/// <summary>How a tenant sends its requests.</summary>
/// <param name="Requests">Requests.</param>
/// <param name="WorkSeconds">Unloaded seconds of all of them on the full variant.</param>
/// <param name="IdleShare">Share of the ten-minute steps without a request, 0..1.</param>
/// <param name="PeakToMean">Requests of the busiest ten minutes over those of the mean.</param>
internal readonly record struct TenantTraffic(long Requests, double WorkSeconds, double IdleShare, double PeakToMean)
{
    private const long StepUs = 600_000_000;
    private const double ManyIdle = 0.25;
    private const double HighPeak = 4;
    private const int ReportEvery = 1 << 18;

    /// <summary>Whether it sends as people's batch scripts do: nothing for long, then much at once.</summary>
    public bool IsBulk => Requests > 0 && (IdleShare >= ManyIdle || PeakToMean >= HighPeak);

    /// <summary>Reads all arrivals once.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="progress">Told the share, 0..1, that is done.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>By tenant, and the days for which the trace has requests.</returns>
    public static (ImmutableArray<TenantTraffic> Tenants, double Days) Measure(Scenario scenario, Action<double> progress, CancellationToken cancellationToken)
    {
        var steps = Math.Max(1, (int)Math.Ceiling(scenario.Days * 86_400e6 / StepUs));
        var counts = scenario.Tenants.Select(_ => new int[steps]).ToArray();
        var work = new double[counts.Length];
        var variants = scenario.Tenants.Select(tenant => FullOf(scenario, tenant)).ToArray();
        using var arrivals = TraceReader.Open(scenario);
        long count = 0, last = 0;
        while (arrivals.TryNext(out var arrival))
        {
            counts[arrival.Tenant][Math.Min(steps - 1, (int)(arrival.AtUs / StepUs))]++;
            work[arrival.Tenant] += variants[arrival.Tenant].UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens);
            last = arrival.AtUs;
            if ((++count & (ReportEvery - 1)) == 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
                progress(Math.Min(1, arrival.AtUs / (scenario.Days * 86_400e6)));
            }
        }

        var used = Math.Min(steps, (int)(last / StepUs) + 1);
        var days = used == steps ? scenario.Days : used * StepUs / 86_400e6;
        return ([.. counts.Select((each, tenant) => Of(each.AsSpan(0, used).ToArray(), work[tenant]))], days);
    }

    private static TenantTraffic Of(int[] steps, double work)
    {
        var total = steps.Sum(static count => (long)count);
        return new(total, work, (double)steps.Count(static count => count == 0) / steps.Length, total == 0 ? 0 : steps.Max() * (double)steps.Length / total);
    }

    private static ScenarioVariant FullOf(Scenario scenario, ScenarioTenant tenant)
    {
        var model = scenario.Models.First(each => each.Model == tenant.Model);
        return model.FullVariant;
    }
}
