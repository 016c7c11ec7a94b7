using OrleansInference.Simulator.Reporting;

namespace OrleansInference.Simulator.Advice;

/// <summary>
/// Advice on a running cluster from its endpoints' views. Nothing is simulated: a saving is what the figures come to if the month is as what was seen, and is called
/// an estimate.
/// </summary>
internal static class ClusterAdvice
{
    private const double MonthSeconds = 30 * 86_400;
    private const double LeastSeconds = 3600;
    private const double Idle = 0.05;
    private const double LeastUsd = 0.5;
    private const double ClearlyCheaper = 0.8;

    /// <summary>What the views advise.</summary>
    /// <param name="source">The file.</param>
    /// <param name="views">The views.</param>
    public static AdviceReport Of(string source, IReadOnlyList<EndpointView> views)
    {
        var advices = views.SelectMany(view => (Advice?[])[Idles(view), OverProvisioned(view), Flaps(view), Cheaper(view, views)])
            .OfType<Advice>()
            .Where(static advice => advice.SavesUsdPerMonth >= LeastUsd)
            .OrderByDescending(static advice => advice.SavesUsdPerMonth);
        return new() { Source = source, Advices = [.. advices] };
    }

    private static EndpointDefinition Definition(EndpointView view) => view.Configuration.Endpoint;

    private static double PerMonth(EndpointView view) => (double)view.Configuration.InstanceSecondCost.ToDollars() * MonthSeconds;

    private static int InService(EndpointView view) => view.Capacity?.InService ?? view.Status.InService;

    private static bool HasInstances(EndpointView view) => Definition(view).Lane is Lane.Realtime or Lane.Async && InService(view) > 0 && view.Configuration.InstanceSecondCost > Money.Zero;

    /// <summary>Share of the slot-time paid for so far in which a prediction was made; null where that is not known.</summary>
    private static double? Used(EndpointView view)
    {
        if (view.Cost <= Money.Zero || view.Slots is not { ServiceSeconds: > 0 } slots)
        {
            return view.Predictions == 0 && view.Cost > Money.Zero ? 0 : null;
        }

        var worth = view.Predictions * slots.ServiceSeconds * (double)view.Configuration.InstanceSecondCost.ToDollars() / Math.Max(1, Definition(view).ConcurrencyPerInstance);
        return Math.Min(1, worth / (double)view.Cost.ToDollars());
    }

    /// <summary>Seconds for which it has been billed with as many instances as now.</summary>
    private static double BilledSeconds(EndpointView view) => (double)view.Cost.ToDollars() / ((double)view.Configuration.InstanceSecondCost.ToDollars() * InService(view));

    private static string Seen(EndpointView view)
    {
        var used = Used(view) is { } share ? $", {Numbers.Percent(share, 1)} of the slot-time paid for" : "";
        var each = view.CostPerPrediction is { } cost ? $", {Numbers.Dollars(cost)} each" : "";
        return Words.Of($"{InService(view)} in service, {view.Slots?.InUse ?? view.Status.InFlight} of {view.Slots?.Offered ?? view.Status.Slots} slots in use; {Numbers.Count(view.Predictions)} predictions for {Numbers.Dollars(view.Cost)}{each}{used}.");
    }

    private static Advice? Idles(EndpointView view) => !HasInstances(view) || (view.Capacity?.NeededSlots ?? 0) > 0 || view.Status.Backlog > 0 || (view.Slots?.InUse ?? 0) > 0 || Used(view) is not < Idle
        ? null
        : new()
        {
            Kind = AdviceKind.IdleEndpoint,
            Subject = Definition(view).Name.Value,
            SavesUsdPerMonth = InService(view) * PerMonth(view) * (1 - Used(view)!.Value),
            What = $"Endpoint {Definition(view).Name} idles.",
            Why = Seen(view),
            Do = Definition(view).MinInstances > 0 ? "Set minInstances to 0, or delete it." : "Let it scale to zero, or delete it.",
            IsEstimate = true,
        };

    private static Advice? OverProvisioned(EndpointView view)
    {
        if (!HasInstances(view) || view.Capacity is not { NeededSlots: > 0 } capacity || view.Status.Backlog > 0)
        {
            return null;
        }

        var definition = Definition(view);
        var needed = (capacity.NeededSlots + Math.Max(1, definition.ConcurrencyPerInstance) - 1) / Math.Max(1, definition.ConcurrencyPerInstance);
        var surplus = InService(view) - needed;
        return surplus <= 0
            ? null
            : new()
            {
                Kind = AdviceKind.OverProvisioned,
                Subject = definition.Name.Value,
                SavesUsdPerMonth = surplus * PerMonth(view),
                What = $"Endpoint {definition.Name} has more instances than its load takes.",
                Why = Words.Of($"{capacity.NeededSlots} slots are needed for up to {capacity.HighRate:0.##} requests per second, which is {needed} instances. ") + Seen(view),
                Do = definition.MinInstances > needed
                    ? Words.Of($"Lower minInstances from {definition.MinInstances} to {needed}.")
                    : definition.Scaling == ScalingMode.Recommend ? "Let the router scale it: set scaling to Auto." : Words.Of($"Scale it down to {needed}{(capacity.Hold is { } hold ? $"; the router does not yet: {hold}" : "")}."),
                IsEstimate = true,
            };
    }

    private static Advice? Flaps(EndpointView view)
    {
        if (!HasInstances(view) || view.Capacity is not { Flaps: > 0, LeadSeconds: > 0 } capacity)
        {
            return null;
        }

        var seconds = BilledSeconds(view);
        if (seconds < LeastSeconds)
        {
            return null;
        }

        var starts = capacity.Flaps * capacity.LeadSeconds * (double)view.Configuration.InstanceSecondCost.ToDollars();
        return new()
        {
            Kind = AdviceKind.Flapping,
            Subject = Definition(view).Name.Value,
            SavesUsdPerMonth = starts * MonthSeconds / seconds,
            What = $"Instances of {Definition(view).Name} are given up and wanted again soon after.",
            Why = Words.Of($"{capacity.Flaps} times so far, each start {Numbers.Duration(capacity.LeadSeconds)}, {Numbers.Dollars(starts)} of instance time in {Numbers.Duration(seconds)} of what is in service now."),
            Do = "Keep one instance more at least, or let callers that can wait say so.",
            IsEstimate = true,
        };
    }

    /// <summary>Another endpoint of the model and variant makes predictions for clearly less.</summary>
    private static Advice? Cheaper(EndpointView view, IReadOnlyList<EndpointView> views)
    {
        if (view.CostPerPrediction is not { } cost || !HasInstances(view))
        {
            return null;
        }

        var other = views
            .Where(each => each != view && each.Configuration.Model == view.Configuration.Model && each.Configuration.Variant == view.Configuration.Variant && Definition(each).Lane is Lane.Realtime or Lane.Serverless)
            .Where(each => each.CostPerPrediction is { } price && price.Nanos < ClearlyCheaper * cost.Nanos)
            .MinBy(static each => each.CostPerPrediction);
        return other is null || Definition(view).Lane != Lane.Realtime || BilledSeconds(view) < LeastSeconds
            ? null
            : new()
            {
                Kind = AdviceKind.Routing,
                Subject = Definition(view).Name.Value,
                SavesUsdPerMonth = view.Predictions * (double)(cost - other.CostPerPrediction!.Value).ToDollars() * MonthSeconds / BilledSeconds(view),
                What = $"{Definition(other).Name} makes the predictions of {Definition(view).Name} for less.",
                Why = $"{Numbers.Dollars(other.CostPerPrediction.Value)} each on {Definition(other).Name}, {Numbers.Dollars(cost)} on {Definition(view).Name}. {Seen(view)}",
                Do = $"Drain {Definition(view).Name} and serve by {Definition(other).Name}, as far as its deadlines and concurrency allow.",
                IsEstimate = true,
            };
    }
}
