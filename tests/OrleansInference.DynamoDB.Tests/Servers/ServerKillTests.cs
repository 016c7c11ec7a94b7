using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace OrleansInference.DynamoDB.Tests.Servers;

/// <summary>One of three server processes is killed (SIGKILL) while a tenant of little money is at work on all of them.</summary>
[Collection(DynaliteCollection.Name)]
public sealed class ServerKillTests(Dynalite dynalite)
{
    private const string Invocations = "/v1/models/chat/invocations";
    private const int Workers = 6;
    private const int JobsOfEach = 4;
    private static readonly Money Limit = Money.FromDollars(0.03m);
    private static readonly byte[] Body = """{"inputs":"hi","input_tokens":100,"output_tokens":20}"""u8.ToArray();

    private readonly ConcurrentQueue<string> _wrong = new();
    private readonly ConcurrentDictionary<ServerProcess, int> _served = new();
    private readonly ConcurrentQueue<string> _jobs = new();
    private long _charged;
    private int _answers;
    private int _lost;
    private int _refusedForBudget;

    [Fact]
    public async Task The_killed_server_had_the_ledger_and_no_more_is_charged_than_the_budget_allows_jobs_end_once_and_the_others_go_on()
    {
        await using var cluster = await ServerProcesses.StartAsync(dynalite.Service, 3, ServerCatalog.Of(new() { Kind = BudgetWindowKind.Rolling, Seconds = 86_400, Limit = Limit }));
        foreach (var server in cluster.Servers.SelectMany(static server => Enumerable.Repeat(server, JobsOfEach)))
        {
            await SubmitAsync(cluster, server);
        }

        var port = await PortOfLedgerAsync(cluster);
        var killed = cluster.Servers.Single(server => server.SiloPort == port);
        var others = cluster.Servers.Where(server => server != killed).ToArray();
        using var done = new CancellationTokenSource();
        var load = Enumerable.Range(0, Workers).Select(worker => Task.Run(() => CallAsync(cluster, worker, done.Token))).ToArray();
        await cluster.UntilAsync(() => Task.FromResult(cluster.Servers.All(server => _served.GetValueOrDefault(server) >= 5)), "served by all three");
        await killed.KillAsync();

        // The ledger comes up elsewhere once the others have found that its silo is dead; then each of them has money to spend again, until there is none.
        BudgetView? budget = null;
        await cluster.UntilAsync(async () => (budget = await cluster.BudgetAsync(others[0])) is not null, "telling the budget again");
        var before = others.Select(server => _served.GetValueOrDefault(server)).ToArray();
        await cluster.UntilAsync(() => Task.FromResult(others.Zip(before).All(pair => _served.GetValueOrDefault(pair.First) >= pair.Second + 5)), "going on at the others");
        foreach (var server in others)
        {
            await SubmitAsync(cluster, server);
        }

        await cluster.UntilAsync(async () => await cluster.BudgetAsync(others[0]) is { } view && view.Windows.Single() is var window && window.Settled + window.Unreported + ServerCatalog.Price > Limit, "out of money");
        var refused = Volatile.Read(ref _refusedForBudget);
        await cluster.UntilAsync(() => Task.FromResult(Volatile.Read(ref _refusedForBudget) >= refused + Workers), "refused for want of money");
        await done.CancelAsync();
        await Task.WhenAll(load);

        var charges = Money.Zero;
        foreach (var job in _jobs)
        {
            charges += await ChargeOfAsync(cluster, others, job);
        }

        await cluster.UntilAsync(async () => (budget = await cluster.BudgetAsync(others[1])) is { } view && view.Reserved == Money.Zero && view.Windows.Single().Leased == Money.Zero, "without reservations");
        Assert.Empty(_wrong);
        var (spent, paid) = (budget!.Windows.Single(), Money.FromNanos(Volatile.Read(ref _charged)) + charges);
        Assert.Equal(ServerCatalog.Price * _jobs.Count, charges);
        Assert.True(paid <= Limit, $"{paid} were charged of {Limit}");
        Assert.True(spent.Settled + spent.Unreported <= Limit, $"{spent.Settled} and {spent.Unreported} count of {Limit}");

        // Nothing that a caller was told is forgotten, and nothing is counted twice: what was settled beyond what callers were told are calls whose answers were lost with the server.
        Assert.True(budget.SettledTotal + budget.UnreportedTotal >= paid, $"{budget.SettledTotal} and {budget.UnreportedTotal} are less than {paid}");
        Assert.True(budget.SettledTotal <= paid + (ServerCatalog.Price * _lost), $"{budget.SettledTotal} are more than {paid} and {_lost} lost calls");

        // What AWS ran, it ran for money of the budget.
        var counts = cluster.Aws.InvocationCounts;
        Assert.True(ServerCatalog.Price * counts.Values.Sum(static count => count.Completed) <= Limit, $"{string.Join(", ", counts)}");
        Assert.Equal(_jobs.Count, counts["chat-async"].Completed);
        Assert.True(_answers > 50, $"{_answers} answers");
    }

    private async Task CallAsync(ServerProcesses cluster, int worker, CancellationToken done)
    {
        for (var i = worker; !done.IsCancellationRequested; i++)
        {
            var server = cluster.Servers[i % cluster.Servers.Count];
            if (!server.IsAlive)
            {
                continue;
            }

            try
            {
                using var response = await cluster.SendAsync(server, HttpMethod.Post, Invocations, Content(), ("X-Inference-Lanes", "Realtime"));
                if (response.StatusCode == HttpStatusCode.OK)
                {
                    Interlocked.Add(ref _charged, Charge(response).Nanos);
                    Interlocked.Increment(ref _answers);
                    _served.AddOrUpdate(server, 1, static (_, count) => count + 1);
                }
                else
                {
                    await RefusedAsync(response);
                }
            }
            catch (HttpRequestException) when (!server.IsAlive)
            {
                Interlocked.Increment(ref _lost);
            }
            catch (HttpRequestException exception)
            {
                _wrong.Enqueue($"{server.Address}: {exception.Message}");
            }

            await Task.Delay(20, CancellationToken.None);
        }
    }

    /// <summary>While the ledger is away, and once there is no money, a refusal that says so is right; nothing else is.</summary>
    private async Task RefusedAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync();
        var code = JsonDocument.Parse(text).RootElement.GetProperty("code").GetString();
        if (code == nameof(ProblemCode.BudgetExhausted))
        {
            Interlocked.Increment(ref _refusedForBudget);
        }
        else if (code != nameof(ProblemCode.Unavailable))
        {
            _wrong.Enqueue($"{(int)response.StatusCode}: {text}");
        }
    }

    /// <summary>Submits a job, and again while a slow table keeps it from being accepted: under a key, so that it is one.</summary>
    private async Task SubmitAsync(ServerProcesses cluster, ServerProcess server)
    {
        var key = Guid.NewGuid().ToString("N");
        await cluster.UntilAsync(
            async () =>
            {
                using var response = await cluster.SendAsync(server, HttpMethod.Post, Invocations, Content(), ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "1h"), ("Idempotency-Key", key));
                if (response is { StatusCode: HttpStatusCode.ServiceUnavailable, Headers.RetryAfter: not null })
                {
                    return false;
                }

                Assert.True(response.StatusCode == HttpStatusCode.Accepted, $"{(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
                _jobs.Enqueue(response.Headers.Location!.OriginalString);
                return true;
            },
            "accepted");
    }

    private static async Task<Money> ChargeOfAsync(ServerProcesses cluster, ServerProcess[] others, string job)
    {
        var charge = Money.Zero;
        await cluster.UntilAsync(
            async () =>
            {
                using var result = await cluster.SendAsync(others[0], HttpMethod.Get, $"{job}/result", null, ("Prefer", "wait=10"));
                if (result.StatusCode == HttpStatusCode.OK)
                {
                    charge = Charge(result);
                    return true;
                }

                Assert.True(result.StatusCode is HttpStatusCode.Accepted or HttpStatusCode.ServiceUnavailable, $"{job}: {(int)result.StatusCode} {await result.Content.ReadAsStringAsync()}");
                return false;
            },
            $"done with {job}");
        return charge;
    }

    /// <summary>Which silo has the tenant's ledger.</summary>
    private async Task<int> PortOfLedgerAsync(ServerProcesses cluster)
    {
        using var host = new HostBuilder()
            .ConfigureLogging(static logging => logging.ClearProviders())
            .UseOrleansClient(client => client
                .Configure<ClusterOptions>(static options => (options.ClusterId, options.ServiceId) = (new Configuration.ClusterSettings().ClusterId, new Configuration.ClusterSettings().ServiceId))
                .UseDynamoDBClustering(options => (options.Service, options.TableName, options.AccessKey, options.SecretKey) = (dynalite.Service, cluster.MembershipTable, "emulator", "emulator")))
            .Build();
        await host.StartAsync(TestContext.Current.CancellationToken);
        var grains = host.Services.GetRequiredService<IGrainFactory>();
        var address = await grains.GetGrain<IManagementGrain>(0).GetActivationAddress(grains.GetGrain<ITenantGrain>(ServerCatalog.Tenant));
        await host.StopAsync(TestContext.Current.CancellationToken);
        return address!.Endpoint.Port;
    }

    private static Money Charge(HttpResponseMessage response) => Money.TryParse(response.Headers.GetValues("X-Inference-Charge").Single(), out var charge) ? charge : throw new InvalidDataException("The charge is not money.");

    private static ByteArrayContent Content() => new(Body) { Headers = { ContentType = new("application/json") } };
}
