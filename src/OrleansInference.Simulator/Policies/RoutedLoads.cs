using OrleansInference.Routing;
using OrleansInference.Simulator.Fleet;

namespace OrleansInference.Simulator.Policies;

/// <summary>What is known of a model's endpoints when a request is decided: everything, or in a cluster what the silo knows that the request has come to.</summary>
/// <param name="world">The world.</param>
/// <param name="fleet">The endpoints.</param>
/// <param name="table">The routing table.</param>
/// <param name="tenants">By tenant, by index.</param>
/// <param name="options">Whether requests are put off, and how many silos there are.</param>
internal sealed class RoutedLoads(World world, RoutedFleet fleet, RoutedTable table, TenantId[] tenants, RoutedOptions options)
{
    private readonly CandidateLoad[] _loads = new CandidateLoad[fleet.Count];

    /// <summary>By candidate, as they were last read.</summary>
    public ReadOnlySpan<CandidateLoad> All => _loads;

    /// <summary>Reads what changes with each request.</summary>
    public void Read(in Request request)
    {
        var trafficClass = request.Class;
        foreach (var endpoint in fleet.Endpoints)
        {
            var i = endpoint.Candidate;
            var pool = endpoint.Pool;
            var defers = options.ValleyFilling && endpoint.Definition.Lane == Lane.Realtime;
            var (waiting, urgent) = (0, 0);
            for (var other = 0; other <= (int)trafficClass; other++)
            {
                waiting += endpoint.Queue.CountOf((TrafficClass)other);
                urgent += other < (int)trafficClass ? pool.InUseBy((TrafficClass)other) : 0;
            }

            if (endpoint.Silos is { } silos)
            {
                _loads[i] = silos.Load(request, endpoint.Definition.Lane == Lane.Serverless, endpoint.Slots - pool.InUse, waiting, world.NowMs) with
                {
                    WaitingWorkMs = waiting > 0 ? WorkAhead(request, endpoint) : 0,
                    DeferredWorkMs = defers ? endpoint.DeferredWorkAtPoll : null,
                };
                continue;
            }

            _loads[i] = new()
            {
                InFlight = pool.InUse,
                InFlightUrgent = urgent,
                Waiting = waiting,
                WaitingWorkMs = waiting > 0 ? WorkAhead(request, endpoint) : 0,
                WarmEnvironments = endpoint.Definition.Lane == Lane.Serverless ? pool.WarmIdle(world.NowUs) : 0,
                DeferredWorkMs = defers ? endpoint.Deferred.WorkMs : null,
            };
        }
    }

    /// <summary>Reads an open window, which changes when it does and not with each request. A cluster's silos are not told of it.</summary>
    public void Read(RoutedWindows windows)
    {
        if (options.Silos == 0)
        {
            _loads[windows.Candidate] = windows.Load;
        }
    }

    /// <summary>Slot-milliseconds of what waits at an endpoint and would be served before a request, at least 1.</summary>
    private long WorkAhead(in Request request, RoutedEndpoint endpoint)
    {
        var candidate = table.Current.Candidates[endpoint.Candidate];
        var sizeClass = table.Current.SizeClassOf(request.InputTokens, request.OutputTokens);

        // Silos are not told what is due when.
        var last = endpoint.Silos is null ? candidate.LastBegin(sizeClass, World.ToMs(request.DeadlineUs), world.NowMs) : long.MaxValue;
        return (long)Math.Max(1, endpoint.WorkAhead(tenants[request.Tenant], request.Class, last, RoutedModel.ToMs(candidate.Service(sizeClass).Mean)));
    }
}
