using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>Traffic declared urgent that comes as bulk does: nothing for long, then much at once. Its callers may well be able to wait.</summary>
internal sealed class UrgentTraffic : IAdviser
{
    private const int MostTenants = 2;

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        var urgent = ground.Scenario.Classes[(int)TrafficClass.High];
        foreach (var today in ground.Today)
        {
            var bulk = ground.Scenario.Tenants.Index()
                .Where(each => each.Item.Model == today.Model.Model && each.Item.Class == TrafficClass.High && ground.Traffic[each.Index].IsBulk)
                .OrderByDescending(each => ground.Traffic[each.Index].WorkSeconds)
                .Take(MostTenants);
            foreach (var (index, tenant) in bulk)
            {
                var traffic = ground.Traffic[index];
                foreach (var patient in (TrafficClass[])[TrafficClass.Medium, TrafficClass.Low])
                {
                    var terms = ground.Scenario.Classes[(int)patient];
                    if (terms.SlackSeconds <= urgent.SlackSeconds)
                    {
                        continue;
                    }

                    var changed = today.Scenario with { Tenants = [.. today.Scenario.Tenants.Select(each => each.Tenant == tenant.Tenant ? each with { Class = patient } : each)] };
                    var trial = new Trial
                    {
                        Kind = AdviceKind.UrgentTraffic,
                        Subject = tenant.Tenant,
                        Change = $"High → {patient}",
                        What = $"{tenant.Tenant} declares its requests to {tenant.Model} High and sends them as bulk.",
                        Why = Words.Of($"{Numbers.Count(traffic.Requests)} requests, none in {Numbers.Percent(traffic.IdleShare, 1)} of the ten-minute steps, and {traffic.PeakToMean:0.#} times the mean in the busiest.")
                            + $" High has {Numbers.Duration(urgent.SlackSeconds)} of slack, {patient} {Numbers.Duration(terms.SlackSeconds)}.",
                        Do = $"Ask {tenant.Tenant} whether its callers can wait, and declare it {patient}.",
                        Models = [today.Index],
                        Parts = [ground.Unchanged(changed)],
                    };
                    yield return trial;

                    // Where all classes take the same way, patience is worth little before requests are routed by it.
                    if (patient == TrafficClass.Low && !ground.IsRouted && ground.Router is { } router)
                    {
                        yield return trial with
                        {
                            Change = $"High → {patient} with {router.Name}",
                            Do = $"{trial.Do} The saving is that under {router.Name}, beside what {router.Name} itself saves.",
                            Against = [new(today.Scenario, router.Make)],
                            Parts = [new(changed, router.Make)],
                        };
                    }
                }
            }
        }
    }
}
