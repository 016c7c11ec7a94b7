using System.Collections.Immutable;
using System.Text;
using OrleansInference.Audit;
using OrleansInference.Dispatch;
using OrleansInference.LocalAws.Models;
using OrleansInference.Simulator.Scenarios;
using OrleansInference.Simulator.Traces;

namespace OrleansInference.Tests;

/// <summary>Sends a scenario's requests to a cluster at the moments of its clock at which they come, to its silos by turns, and reads what AWS bills in the end.</summary>
internal sealed class ClusterReplay(RouterCluster cluster, Scenario scenario, CatalogDefinition catalog)
{
    private readonly IReadOnlyList<IDispatcher> _silos = cluster.Dispatchers();
    private int _attained;
    private int _failed;
    private int _putOff;
    private double _modelSeconds;
    private double _latestMs;

    /// <summary>Requests that were not answered.</summary>
    public int Failed => Volatile.Read(ref _failed);

    /// <summary>Requests that became jobs, to be served on slots that are free anyway.</summary>
    public int PutOff => Volatile.Read(ref _putOff);

    /// <summary>Seconds of the cluster's clock that a call took on average on its way to a model in real time and back, beside the model's own time.</summary>
    public double WaySeconds
    {
        get
        {
            var seconds = cluster.Audit.Records.Where(static record => record is { Kind: AuditKind.Settle, Lane: Lane.Realtime }).Select(static record => record.ServiceMs / 1000).ToArray();
            return (seconds.Sum() - Volatile.Read(ref _modelSeconds)) / seconds.Length;
        }
    }

    /// <summary>Seconds of the cluster's clock by which the request that was sent the latest after its moment was late.</summary>
    public double LatestSeconds => _latestMs / 1000;

    /// <summary>Replays the requests and waits for the end of the time.</summary>
    public async Task<RunFigures> RunAsync(ImmutableArray<Arrival> arrivals, TimeSpan length, CancellationToken cancellationToken)
    {
        foreach (var silo in _silos)
        {
            foreach (var tenant in scenario.Tenants)
            {
                // Each silo knows the routes before the first request comes.
                await RouterCluster.EventuallyAsync(() => silo.ExplainAsync(RequestOf(new() { Jitter = 1 }, tenant, TimeSpan.FromMinutes(1)), cancellationToken), static dry => dry.Explanation is not null);
            }
        }

        var start = cluster.Clock.Now;
        var before = cluster.LocalAws.InstanceSeconds;
        var sent = new Task[arrivals.Length];
        for (var i = 0; i < arrivals.Length; i++)
        {
            var at = start + (arrivals[i].AtUs / 1000);
            await UntilAsync(at, cancellationToken);
            _latestMs = Math.Max(_latestMs, cluster.Clock.Now - at);
            sent[i] = SendAsync(_silos[i % _silos.Count], arrivals[i], start, cancellationToken);
        }

        await Task.WhenAll(sent);
        await UntilAsync(start + (long)length.TotalMilliseconds, cancellationToken);
        return Figures(before, arrivals.Length);
    }

    private async Task SendAsync(IDispatcher silo, Arrival arrival, long start, CancellationToken cancellationToken)
    {
        var tenant = scenario.Tenants[arrival.Tenant];
        var variant = scenario.Models.First(model => model.Model == tenant.Model).FullVariant;
        var unloaded = variant.UnloadedSeconds(arrival.InputTokens, arrival.OutputTokens);
        var deadline = start + (arrival.AtUs / 1000) + (long)(1000 * (scenario.Classes[(int)tenant.Class].SlackSeconds + (1.5 * unloaded)));

        // Off the pacing loop, which has to be on time for the next one.
        await Task.Yield();
        var outcome = await silo.InvokeAsync(RequestOf(arrival, tenant, TimeSpan.FromMilliseconds(deadline - cluster.Clock.Now)), cancellationToken);
        var (isAnswer, answeredAt) = outcome.JobId is { } job ? await EndOfAsync(new(tenant.Tenant), job, cancellationToken) : (outcome.IsAnswer, cluster.Clock.Now);
        if (!isAnswer)
        {
            Interlocked.Increment(ref _failed);
        }
        else if (answeredAt <= deadline)
        {
            Interlocked.Increment(ref _attained);
        }

        if (isAnswer && outcome.Route is { Lane: Lane.Realtime })
        {
            lock (_silos)
            {
                _modelSeconds += unloaded * arrival.Jitter;
            }
        }
    }

    private async Task<(bool IsAnswer, long At)> EndOfAsync(TenantId tenant, string job, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _putOff);
        while (true)
        {
            var end = await cluster.Jobs.GetAsync(tenant, job, TimeSpan.FromMinutes(1), cancellationToken);
            Assert.NotNull(end);
            if (end.EndedAt is { } at)
            {
                return (end.State == JobState.Succeeded, at.ToUnixTimeMilliseconds());
            }
        }
    }

    private static InferenceRequest RequestOf(Arrival arrival, ScenarioTenant tenant, TimeSpan deadline) => new()
    {
        Tenant = new(tenant.Tenant),
        Model = new(tenant.Model),
        Class = tenant.Class,
        Delivery = tenant.Class == TrafficClass.High ? Delivery.Inline : Delivery.Either,
        Deadline = deadline,
        InputTokens = arrival.InputTokens,
        MaxOutputTokens = Math.Max(1, arrival.OutputTokens),

        // What chance does to its time is in what the model is told, which the router does not read.
        Body = Encoding.UTF8.GetBytes(FormattableString.Invariant(
            $"{{\"inputs\":\"x\",\"input_tokens\":{(int)Math.Round(arrival.InputTokens * arrival.Jitter)},\"output_tokens\":{(int)Math.Round(arrival.OutputTokens * arrival.Jitter)}}}")),
    };

    private Task UntilAsync(long at, CancellationToken cancellationToken) =>
        cluster.Clock.DelayAsync(TimeSpan.FromMilliseconds(at - cluster.Clock.Now), cancellationToken);

    private RunFigures Figures(IReadOnlyDictionary<string, double> before, int requests)
    {
        var aws = cluster.LocalAws;
        var (seconds, counts) = (aws.InstanceSeconds, aws.InvocationCounts);
        var bill = ImmutableSortedDictionary.CreateBuilder<string, Money>();
        var served = new long[Enum.GetValues<Lane>().Length];
        foreach (var model in catalog.Models)
        {
            foreach (var endpoint in model.Variants.SelectMany(static variant => variant.Endpoints))
            {
                var count = counts.GetValueOrDefault(endpoint.TargetName, new InvocationCounts());
                served[(int)endpoint.Lane] += count.Completed;
                bill[RunFigures.NameOf(model.Name.Value, endpoint.Lane)] = endpoint.Lane == Lane.Serverless
                    ? Of(catalog.ServerlessPerGigabyteSecond, (count.ServiceSeconds + (count.ColdStarts * endpoint.Simulation.StartSeconds)) * endpoint.MemoryMb / 1024)
                    : Of(catalog.InstancePrices[endpoint.InstanceType], (seconds[endpoint.TargetName] - before.GetValueOrDefault(endpoint.TargetName)) / 3600);
            }
        }

        return new() { Bill = bill.ToImmutable(), Served = [.. served], Attainment = (double)_attained / requests };
    }

    private static Money Of(Money price, double times) => Money.FromNanos((long)(price.Nanos * times));
}
