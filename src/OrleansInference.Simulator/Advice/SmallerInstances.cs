using OrleansInference.Simulator.Reporting;
using OrleansInference.Simulator.Scenarios;

namespace OrleansInference.Simulator.Advice;

/// <summary>Instances larger than needed: variants of the model on cheaper instances, for all tenants whose floor of quality allows them.</summary>
internal sealed class SmallerInstances : IAdviser
{
    // Middling lengths, to compare prices of work.
    private const int Input = 500;
    private const int Output = 150;

    /// <inheritdoc/>
    public IEnumerable<Trial> Look(AdviceGround ground)
    {
        if (ground.IsRouted && ground.Policy.Name != "ours-full")
        {
            yield break;
        }

        foreach (var today in ground.Today)
        {
            var full = today.Model.FullVariant;
            var busy = today.PoolsOf(Lane.Realtime).Select(static pool => pool.Utilization).DefaultIfEmpty(0).Max();
            foreach (var variant in today.Model.Variants.Where(each => each != full && IsCheaper(each, full)))
            {
                var willing = today.Tenants.Where(tenant => tenant.MinQuality <= variant.Quality).Select(static tenant => tenant.Tenant).ToList();
                if (willing.Count == 0)
                {
                    continue;
                }

                var all = willing.Count == today.Tenants.Count();
                yield return new()
                {
                    Kind = AdviceKind.SmallerInstances,
                    Subject = today.Model.Model,
                    Change = all ? $"{variant.Name} for all" : $"{variant.Name} for {willing.Count}",
                    What = $"{today.Model.Model} runs on larger instances than {(all ? "its tenants" : Words.Of($"{willing.Count} of its {today.Tenants.Count()} tenants"))} ask for.",
                    Why = Words.Of($"{full.Name}{Type(full)} at {Numbers.Dollars(full.PricePerHour)} an hour serves {full.Concurrency} at a time and is {Numbers.Percent(busy, 1)} busy")
                        + Words.Of($"; {variant.Name}{Type(variant)} at {Numbers.Dollars(variant.PricePerHour)} serves {variant.Concurrency} at quality {variant.Quality}, and {Words.List(willing)} accept that."),
                    Do = all ? $"Serve {today.Model.Model} by {variant.Name}." : $"Serve {Words.List(willing)} by {variant.Name} on an endpoint of its own.",
                    Models = [today.Index],
                    Parts = [ground.Unchanged(all ? Replaced(today, variant) : Split(today, variant))],
                };
            }
        }
    }

    private static string Type(ScenarioVariant variant) => variant.InstanceType.Length == 0 ? "" : $" ({variant.InstanceType})";

    private static bool IsCheaper(ScenarioVariant variant, ScenarioVariant full) =>
        variant.PricePerHour < full.PricePerHour || PriceOfWork(variant) < PriceOfWork(full);

    private static double PriceOfWork(ScenarioVariant variant) => variant.UnloadedSeconds(Input, Output) * variant.PricePerHour.Nanos / variant.Concurrency;

    /// <summary>Deadlines stay those of the full variant.</summary>
    private static Scenario Replaced(ModelToday today, ScenarioVariant variant) => today.Scenario with
    {
        Models = [today.Model with { Variants = [variant] }],
        Tenants = [.. today.Scenario.Tenants.Select(tenant => tenant with { DeadlineVariant = today.Model.FullVariant })],
    };

    private static Scenario Split(ModelToday today, ScenarioVariant variant)
    {
        var (model, name) = (today.Model, $"{today.Model.Model}/{variant.Name}");
        return today.Scenario with
        {
            Models = [model, model with { Model = name, Variants = [variant] }],
            Tenants =
            [
                .. today.Scenario.Tenants.Select(tenant => tenant.IsSilent || tenant.MinQuality > variant.Quality
                    ? tenant
                    : tenant with { Model = name, TraceModel = tenant.TraceModel ?? tenant.Model, DeadlineVariant = model.FullVariant }),
            ],
        };
    }
}
