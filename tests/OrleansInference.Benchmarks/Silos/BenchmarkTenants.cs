namespace OrleansInference.Benchmarks.Silos;

/// <summary>A tenant like those that people have: so much an hour, and so much a month in its time zone.</summary>
internal static class BenchmarkTenants
{
    public static TenantDefinition Create(string name, Money limit) => new()
    {
        Id = new(name),
        TimeZone = "Europe/Berlin",
        Budgets =
        [
            new() { Kind = BudgetWindowKind.Rolling, Seconds = 3600, Limit = limit },
            new() { Kind = BudgetWindowKind.CalendarMonth, Limit = limit },
        ],
    };
}
