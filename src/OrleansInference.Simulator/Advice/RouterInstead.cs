using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>The router in place of what runs today, for all models.</summary>
internal sealed class RouterInstead : IAdviser
{
    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        if (ground.IsRouted || ground.Router is not { } router)
        {
            return [];
        }

        var (used, hours) = (ground.Today.Sum(static today => today.Result.Utilization * today.Result.InstanceHours), ground.Today.Sum(static today => today.Result.InstanceHours));
        return
        [
            new()
            {
                Kind = AdviceKind.Routing,
                Subject = "all models",
                Change = router.Name,
                What = $"{ground.Policy.Name} sends requests where their class or a rule says, whatever they are worth and whatever is free.",
                Why = Words.Of($"{hours:0} instance-hours in {Numbers.Duration(86_400 * ground.Scenario.Days)} are {Numbers.Percent(hours > 0 ? used / hours : 0, 1)} busy."),
                Do = "Route each request by price and deadline: work that can wait fills slots that are paid for anyway.",
                Models = [.. ground.Today.Select(static today => today.Index)],
                Parts = [.. ground.Today.Select(today => new TrialPart(today.Scenario, router.Make))],
            },
        ];
    }
}
