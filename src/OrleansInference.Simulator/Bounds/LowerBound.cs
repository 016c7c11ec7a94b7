using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Simulator.Bounds;

/// <summary>
/// What no policy can cost less than, though it knew all that is to come: instances come and go in no time and are always full, work is split and shifted at will. See
/// <c>docs/lower-bound.md</c> for what is argued.
/// </summary>
public static class LowerBound
{
    /// <summary>Length of a bin in microseconds.</summary>
    internal const long BinUs = 30_000_000;

    private const int CheckEvery = 1 << 16;

    // Sums of many doubles: far more than their errors can come to.
    private const double Rounding = 1e-9;

    /// <summary>Computes the bound.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="fullOnly">Whether only the full variants may serve.</param>
    /// <param name="progress">Told the share, 0..1, that is done.</param>
    /// <param name="token">Ends the computation.</param>
    public static LowerBoundResult Compute(Scenario scenario, bool fullOnly = false, Action<double>? progress = null, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        using var arrivals = TraceReader.Open(scenario);
        return Compute(scenario, arrivals, fullOnly, progress, token);
    }

    /// <summary>Computes the bound for given arrivals.</summary>
    internal static LowerBoundResult Compute(Scenario scenario, IArrivals arrivals, bool fullOnly = false, Action<double>? progress = null, CancellationToken token = default)
    {
        var models = scenario.Models.Select(model => new ModelWork(model, fullOnly)).ToArray();
        var tenants = scenario.Tenants.Select(tenant => models.First(model => model.Name == tenant.Model).TermsOf(tenant)).ToArray();
        var indices = scenario.Tenants.Select(tenant => Array.FindIndex(models, model => model.Name == tenant.Model)).ToArray();
        var classes = scenario.Classes.Select(terms => new ClassWork(terms, models.Length)).ToArray();
        var horizon = scenario.Days * 86_400e6;
        var (count, lastUs) = (0L, 0L);
        while (arrivals.TryNext(out var arrival))
        {
            lastUs = arrival.AtUs;
            var @class = classes[(int)scenario.Tenants[arrival.Tenant].Class];
            if (tenants[arrival.Tenant].Add(arrival, @class.Terms.SlackSeconds) is { } nanos)
            {
                @class.Add(indices[arrival.Tenant], nanos);
            }

            if ((++count & (CheckEvery - 1)) == 0)
            {
                token.ThrowIfCancellationRequested();
                progress?.Invoke(Math.Min(1, arrival.AtUs / horizon));
            }
        }

        var allowance = new double[models.Length];
        foreach (var @class in classes)
        {
            var most = @class.MostSaved();
            for (var model = 0; model < models.Length; model++)
            {
                allowance[model] += most[model];
            }
        }

        progress?.Invoke(1);
        return new()
        {
            Models = [.. models.Select((model, index) => model.Sum(lastUs, allowance[index]))],
            Requests = classes.Sum(static each => each.Requests),
            Unattainable = classes.Sum(static each => each.Unattainable),
        };
    }

    /// <summary>Money that is not more than an amount.</summary>
    internal static Money AtMost(double nanos) => Money.FromNanos((long)Math.Floor(nanos * (1 - Rounding)));

    /// <summary>Money that is not less than an amount.</summary>
    internal static Money AtLeast(double nanos) => Money.FromNanos((long)Math.Ceiling(nanos * (1 + Rounding)));

    private sealed class ClassWork(ClassTerms terms, int models)
    {
        private readonly DearestRequests _dearest = new(models);

        public ClassTerms Terms { get; } = terms;

        public long Requests { get; private set; }

        public long Unattainable { get; private set; }

        public void Add(int model, double nanos)
        {
            Requests++;
            if (nanos > 0)
            {
                _dearest.Add(model, nanos);
            }
            else
            {
                Unattainable++;
            }
        }

        // What everybody misses is not left to be missed.
        public double[] MostSaved() => _dearest.Take((long)Math.Floor(((1 - Terms.TargetAttainment) * Requests) + 1e-6) - Unattainable);
    }
}
