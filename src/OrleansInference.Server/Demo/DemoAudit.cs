using System.Collections.Immutable;
using System.Globalization;
using OrleansInference.Audit;

namespace OrleansInference.Demo;

/// <summary>One sum that must come out the same from two sources.</summary>
/// <param name="What">What is compared.</param>
/// <param name="Left">One source's figure.</param>
/// <param name="Right">The other's.</param>
/// <param name="Agrees">Whether they are equal.</param>
internal sealed record AuditCheck(string What, string Left, string Right, bool Agrees)
{
    /// <inheritdoc/>
    public override string ToString() => Agrees ? $"  ok     {What}: {Left} = {Right}" : $"  WRONG  {What}: {Left} is not {Right}";
}

/// <summary>Holds the callers', the ledger's and the audit log's figures against each other.</summary>
internal static class DemoAudit
{
    /// <summary>Every comparison. Money is compared to the nano-dollar.</summary>
    public static ImmutableArray<AuditCheck> Compare(DemoFigures figures, IReadOnlyList<AuditLine> audit)
    {
        var counts = figures.Counts;
        var checks = ImmutableArray.CreateBuilder<AuditCheck>();
        checks.Add(Numbers("requests sent = predictions + errors", counts.Sent, counts.Answered + counts.Failed));
        checks.Add(Numbers("predictions by lane = predictions by class", counts.Answered, counts.Classes.Sum(c => c.Answered)));
        var carried = CarriedOver(figures, audit);
        checks.Add(Numbers("predictions as callers saw them = as endpoints booked them", counts.Answered, figures.Endpoints.Sum(endpoint => endpoint.Predictions) - carried.Predictions));
        var (allLogged, allSettled) = (Money.Zero, Money.Zero);
        foreach (var budget in figures.Budgets)
        {
            var line = audit.FirstOrDefault(line => line.Tenant == budget.Tenant);
            var logged = (line?.Charged ?? Money.Zero) - budget.Before.Logged;
            var settled = budget.Settled - budget.Before.Settled;
            checks.Add(Amounts($"{budget.Tenant}: charges in the audit log = settled in its ledger", logged, settled));
            checks.Add(Amounts($"{budget.Tenant}: charges in the audit log for this run's callers = charges that they were told", logged - CarriedOver(budget, line).Charged, counts.Charges.GetValueOrDefault(budget.Tenant)));
            allLogged += logged;
            allSettled += settled;
        }

        checks.Add(Amounts("all tenants: charges in the audit log = settled in the ledgers", allLogged, allSettled));
        return checks.ToImmutable();
    }

    /// <summary>What ended in this run although an earlier one was asked for it: those callers are gone, so nobody here was told.</summary>
    public static AuditCarriedOver CarriedOver(DemoFigures figures, IReadOnlyList<AuditLine> audit) => figures.Budgets
        .Select(budget => CarriedOver(budget, audit.FirstOrDefault(line => line.Tenant == budget.Tenant)))
        .Aggregate(TenantBooks.NoneCarriedOver, static (sum, one) => new(sum.Records + one.Records, sum.Predictions + one.Predictions, sum.Charged + one.Charged));

    /// <summary>What of the ledgers' and the audit log's charges comes from where, to the nano-dollar; null if this run's callers were told of all.</summary>
    public static string? Describe(DemoFigures figures, AuditCarriedOver carried)
    {
        if (carried.Records == 0)
        {
            return null;
        }

        var told = DemoTables.Charged(figures.Counts);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"  beside ended in this run, asked for in an earlier one: {carried.Records} jobs, {carried.Predictions} predictions, {Exact(carried.Charged)}; with the {Exact(told)} that this run's callers were told: {Exact(carried.Charged + told)}");
    }

    private static AuditCarriedOver CarriedOver(BudgetFigures budget, AuditLine? line)
    {
        var (now, before) = (line?.CarriedOver ?? TenantBooks.NoneCarriedOver, budget.Before.CarriedOver);
        return new(now.Records - before.Records, now.Predictions - before.Predictions, now.Charged - before.Charged);
    }

    private static AuditCheck Numbers(string what, long left, long right) =>
        new(what, left.ToString(CultureInfo.InvariantCulture), right.ToString(CultureInfo.InvariantCulture), left == right);

    private static AuditCheck Amounts(string what, Money left, Money right) =>
        new(what, Exact(left), Exact(right), left == right);

    private static string Exact(Money money) => "$" + money.ToDollars().ToString("0.000000000", CultureInfo.InvariantCulture);
}
