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
    public static LowerBoundResult Compute(Scenario scenario, bool fullOnly = false, Action<double>? progress = null, CancellationToken token = default) =>
        Compute(scenario, () => TraceReader.Open(scenario), fullOnly, progress, token);

    /// <summary>Computes the bound for given arrivals, which are read twice.</summary>
    internal static LowerBoundResult Compute(Scenario scenario, Func<IArrivals> open, bool fullOnly = false, Action<double>? progress = null, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(scenario);
        var models = scenario.Models.Select(model => new ModelWork(model, fullOnly)).ToArray();
        var indices = scenario.Tenants.Select(tenant => Array.FindIndex(models, model => model.Name == tenant.Model)).ToArray();
        var tenants = scenario.Tenants.Select((tenant, index) => models[indices[index]].TermsOf(tenant)).ToArray();
        var slacks = scenario.Tenants.Select(tenant => scenario.Classes[(int)tenant.Class].SlackSeconds).ToArray();
        var works = scenario.Tenants.Select((tenant, index) => models[indices[index]].WorkOf(tenant.Class)).ToArray();

        // What idle slots are worth has to be known before a request can be priced; where nothing idles, that is not asked.
        var prices = Array.Exists(models, static model => model.HasForced);
        if (prices)
        {
            var lastUs = 0L;
            Read(0, (in arrival) =>
            {
                lastUs = arrival.AtUs;
                if (tenants[arrival.Tenant].Counts(arrival))
                {
                    tenants[arrival.Tenant].Learn(arrival, slacks[arrival.Tenant]);
                }
            });
            foreach (var model in models)
            {
                model.Price(lastUs);
            }
        }

        Read(prices ? 0.5 : 0, (in arrival) =>
        {
            if (tenants[arrival.Tenant].Counts(arrival))
            {
                works[arrival.Tenant].Add(tenants[arrival.Tenant].Price(arrival, slacks[arrival.Tenant]));
            }
        });
        progress?.Invoke(1);
        return new() { Models = [.. models.Select(static model => model.Sum())] };

        void Read(double done, Seen seen)
        {
            using var arrivals = open();
            var horizon = scenario.Days * 86_400e6;
            for (var count = 0L; arrivals.TryNext(out var arrival);)
            {
                seen(arrival);
                if ((++count & (CheckEvery - 1)) == 0)
                {
                    token.ThrowIfCancellationRequested();
                    progress?.Invoke(done + ((prices ? 0.5 : 1) * Math.Min(1, arrival.AtUs / horizon)));
                }
            }
        }
    }

    /// <summary>Money that is not more than an amount.</summary>
    internal static Money AtMost(double nanos) => Money.FromNanos((long)Math.Floor(nanos * (1 - Rounding)));

    /// <summary>Money that is not less than an amount.</summary>
    internal static Money AtLeast(double nanos) => Money.FromNanos((long)Math.Ceiling(nanos * (1 + Rounding)));

    private delegate void Seen(in Arrival arrival);
}
