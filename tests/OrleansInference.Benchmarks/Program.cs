using OrleansInference.Benchmarks;
using OrleansInference.Benchmarks.Budgets;
using OrleansInference.Benchmarks.Capacity;
using OrleansInference.Benchmarks.FrontDoor;
using OrleansInference.Benchmarks.Jobs;
using OrleansInference.Benchmarks.Routing;
using OrleansInference.Benchmarks.Simulation;

const string Usage = """
    usage: OrleansInference.Benchmarks <suite>

    Measures what the product promises about speed and size, and prints one JSON line a figure on standard output:
      {"name":…,"value":…,"unit":…,"limit":…,"better":"low|high"}
    A figure without a limit is there to compare with. Progress goes to standard error. A suite takes one to two minutes, 'jobs' three to five, 'backlog' and
    'simulator' four to six.

    suites:
      budgets   reserving and settling money: on a lease, through a tenant's account, straight from the grain;
                storage writes under load; memory of idle tenants
      capacity  the queue of an endpoint with 100,000 tickets; a slot taken and given back on a lease; what a tenant at a hundred times
                its share does to the others' waits; how busy three silos keep an endpoint's slots under steady overload
      backlog   a million durable jobs wait on the embedded store: what of them is in memory
      jobs      accepting durable jobs on the embedded store; a server that comes up with 100,000 open ones; what the async lane takes
                beyond the model's own time
      routing   deciding over eight candidates; recording and merging latencies; a request's way through the dispatcher; the
                HTTP front door beside a bare proxy (YARP) and, where Node is present, another gateway (Portkey)
      simulator requests a second, and the whole shipped week of traffic: time, memory, cost over the lower bound, attainment

    exit codes: 0 every figure is within its limit, 1 some are not, 2 wrong usage
    """;

if (args is ["--help" or "-h" or "-?"])
{
    Console.Out.WriteLine(Usage);
    return 0;
}

if (args is ["peer", var role, var address, .. var rest])
{
    // What the suites run beside the router, in a process of its own.
    await Peers.RunAsync(role, address, rest is [var backend] ? backend : null);
    return 0;
}

if (args is ["jobs", "fill" or "restart" or "backlog", var file])
{
    return await OpenJobs.RunPartAsync(args[1], file);
}

if (args is not [var suite])
{
    Console.Error.WriteLine(Usage);
    return 2;
}

Func<Figures, Task>? run = suite switch
{
    "backlog" => OpenJobs.RunBacklogAsync,
    "budgets" => BudgetSuite.RunAsync,
    "capacity" => CapacitySuite.RunAsync,
    "jobs" => JobsSuite.RunAsync,
    "routing" => RoutingSuite.RunAsync,
    "simulator" => SimulatorSuite.RunAsync,
    _ => null,
};
if (run is null)
{
    Console.Error.WriteLine($"There is no suite '{suite}': there are 'backlog', 'budgets', 'capacity', 'jobs', 'routing' and 'simulator'. See --help.");
    return 2;
}

var figures = new Figures(Console.Out, Console.Error);
await run(figures);
return figures.AllHold ? 0 : 1;
