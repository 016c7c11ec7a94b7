using OrleansInference.Benchmarks;
using OrleansInference.Benchmarks.Budgets;

const string Usage = """
    usage: OrleansInference.Benchmarks <suite>

    Measures what the product promises about speed and size, and prints one JSON line a figure on standard output:
      {"name":…,"value":…,"unit":…,"limit":…,"better":"low|high"}
    A figure without a limit is there to compare with. Progress goes to standard error. Takes about a minute and a half.

    suites:
      budgets   reserving and settling money: on a lease, through a tenant's account, straight from the grain;
                storage writes under load; memory of idle tenants

    exit codes: 0 every figure is within its limit, 1 some are not, 2 wrong usage
    """;

if (args is ["--help" or "-h" or "-?"])
{
    Console.Out.WriteLine(Usage);
    return 0;
}

if (args is not [var suite])
{
    Console.Error.WriteLine(Usage);
    return 2;
}

if (suite != "budgets")
{
    Console.Error.WriteLine($"There is no suite '{suite}': the only one is 'budgets'. See --help.");
    return 2;
}

var figures = new Figures(Console.Out, Console.Error);
await BudgetSuite.RunAsync(figures);
return figures.AllHold ? 0 : 1;
