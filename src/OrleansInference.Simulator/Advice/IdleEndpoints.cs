using OrleansInference.Simulator.Policies.Baselines;
using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>Endpoints that idle, all day or for hours: a lower minimum, serverless executions, or an asynchronous endpoint that goes down to none.</summary>
internal sealed class IdleEndpoints : IAdviser
{
    private const double Idle = 0.05;
    private const double MostlyIdle = 0.2;

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        foreach (var today in ground.Today)
        {
            var kept = today.PoolsOf(Lane.Realtime).Where(static pool => pool.Hours > 0).ToList();
            var profile = HourProfile.Of(today.Result.Timeline[0]);
            if (kept.Count == 0 || (profile.QuietShare >= Idle && kept.Max(static pool => pool.Utilization) >= MostlyIdle))
            {
                continue;
            }

            var busy = kept.Sum(static pool => pool.Utilization * pool.Hours) / kept.Sum(static pool => pool.Hours);
            var trial = new Trial
            {
                Kind = AdviceKind.IdleEndpoint,
                Subject = today.Model.Model,
                Change = "",
                What = $"The real-time endpoint of {today.Model.Model} idles.",
                Why = Words.Of($"Of {profile.MeanSlots:0.#} slots on average {Numbers.Percent(busy, 1)} are in use, and {Numbers.Percent(profile.QuietShare, 1)} from {profile.QuietHour:00}:00 to {(profile.QuietHour + 1) % 24:00}:00; it bills ")
                    + $"{Numbers.Dollars(kept.Sum(pool => ground.Monthly(pool.Cost)))} a month.",
                Do = "",
                Models = [today.Index],
                Parts = [],
            };
            if (today.Result.Requests == 0)
            {
                yield return trial with { Change = "no endpoint", What = $"Nobody calls {today.Model.Model}.", Do = "Delete its real-time endpoint." };
                continue;
            }

            foreach (var choice in Choices(ground, today))
            {
                yield return trial with { Change = choice.Change, Do = choice.Do, Parts = [choice.Part] };
            }
        }
    }

    private static IEnumerable<(string Change, string Do, TrialPart Part)> Choices(AdviceGround ground, ModelToday today)
    {
        var model = today.Model;
        var minimum = model.LaneOf(Lane.Realtime)!.MinInstances;

        // Autoscaling of a real-time endpoint does not go below one instance; only policies that do without can be given a minimum of none.
        var least = ground.IsRouted || (ground.Policy.Name == "predictive" && model.LaneOf(Lane.Serverless) is not null) ? 0 : 1;
        if (minimum > least)
        {
            yield return (
                $"minInstances {minimum} → {least}",
                least == 0 ? "Set minInstances to 0: let it scale to zero." : $"Lower minInstances from {minimum} to {least}.",
                ground.Unchanged(today.Scenario with { Models = [model with { Lanes = [.. model.Lanes.Select(lane => lane.Lane == Lane.Realtime ? lane with { MinInstances = least } : lane)] }] }));
        }

        if (!ground.IsRouted && model.LaneOf(Lane.Serverless) is not null)
        {
            yield return ("serverless", "Serve it by the serverless endpoint, which bills executions only, and delete the real-time one.", new(today.Scenario, BaselineChoices.Serverless));
        }

        if (!ground.IsRouted && model.LaneOf(Lane.Async) is { MinInstances: 0 } && today.Tenants.All(static tenant => tenant.Class != TrafficClass.High))
        {
            yield return ("asynchronous, to zero", "None of its tenants is High: serve it by an asynchronous endpoint that scales to zero, and delete the real-time one.", new(today.Scenario, BaselineChoices.Asynchronous));
        }
    }
}
