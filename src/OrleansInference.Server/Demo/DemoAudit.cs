using System.Collections.Immutable;
using System.Globalization;

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
        checks.Add(Numbers("predictions as callers saw them = as endpoints booked them", counts.Answered, figures.Endpoints.Sum(endpoint => endpoint.Predictions)));
        var charges = audit.ToDictionary(line => line.Tenant, line => line.Charged);
        foreach (var budget in figures.Budgets)
        {
            var logged = charges.GetValueOrDefault(budget.Tenant);
            checks.Add(Amounts($"{budget.Tenant}: charges in the audit log = settled in its ledger", logged, budget.Settled));
            checks.Add(Amounts($"{budget.Tenant}: charges in the audit log since this demo began = charges that its callers were told", logged - budget.ChargedBefore, counts.Charges.GetValueOrDefault(budget.Tenant)));
        }

        checks.Add(Amounts(
            "all tenants: charges in the audit log = settled in the ledgers",
            charges.Values.Aggregate(Money.Zero, (sum, charge) => sum + charge),
            figures.Budgets.Aggregate(Money.Zero, (sum, budget) => sum + budget.Settled)));
        return checks.ToImmutable();
    }

    private static AuditCheck Numbers(string what, long left, long right) =>
        new(what, left.ToString(CultureInfo.InvariantCulture), right.ToString(CultureInfo.InvariantCulture), left == right);

    private static AuditCheck Amounts(string what, Money left, Money right) =>
        new(what, Exact(left), Exact(right), left == right);

    private static string Exact(Money money) => "$" + money.ToDollars().ToString("0.000000000", CultureInfo.InvariantCulture);
}
