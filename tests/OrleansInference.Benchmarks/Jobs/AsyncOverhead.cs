using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Aws;
using OrleansInference.Benchmarks.Routing;
using OrleansInference.Benchmarks.Silos;
using OrleansInference.Jobs;
using OrleansInference.LocalAws;

namespace OrleansInference.Benchmarks.Jobs;

/// <summary>
/// One async request after another on a system that does nothing else, on the embedded AWS at the speed of life: from the call until the job's end is
/// told, beyond the time that the model itself took.
/// </summary>
internal static class AsyncOverhead
{
    private const int WarmUp = 20;
    private const int Requests = 200;
    private const string Queue = "completions";
    private static readonly TenantId Tenant = new("tenant");
    private static readonly ModelName Model = new("chat");

    public static async Task RunAsync(Figures figures)
    {
        figures.Say($"{Requests} async requests, one after another");
        var folder = Directory.CreateTempSubdirectory("oi-bench-async-").FullName;
        try
        {
            await using var aws = await LocalAwsServer.StartAsync(new() { NotificationQueue = Queue, DataFolder = Path.Combine(folder, "aws") });
            await aws.ApplyCatalogAsync(Catalog);
            await using var silo = await BenchmarkSilo.StartAsync(
                aws: services => services.AddSingleton<IAuditLog>(new SummedAudit()).AddAwsClients(new() { Endpoint = aws.Address, AccessKeyId = "benchmark", SecretAccessKey = "benchmark" }),
                file: Path.Combine(folder, "state.db"),
                keepsLong: false,
                configure: static options => options.NotificationQueue = Queue);
            var reply = await silo.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(Catalog);
            if (!reply.Problems.IsEmpty)
            {
                throw new InvalidOperationException(string.Join("; ", reply.Problems));
            }

            var jobs = silo.Services.GetRequiredService<IJobs>();
            for (var i = 0; i < WarmUp; i++)
            {
                await OneAsync(silo, jobs);
            }

            var overheads = new double[Requests];
            for (var i = 0; i < Requests; i++)
            {
                overheads[i] = await OneAsync(silo, jobs);
            }

            Array.Sort(overheads);
            figures.Print("jobs.async_overhead_p50", overheads[Requests / 2], "ms", 150, Better.Low);
            figures.Print("jobs.async_overhead_p99", overheads[Requests * 99 / 100], "ms", 500, Better.Low);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<double> OneAsync(BenchmarkSilo silo, IJobs jobs)
    {
        var start = Stopwatch.GetTimestamp();
        var outcome = await silo.Dispatcher.SubmitAsync(
            new()
            {
                Tenant = Tenant,
                Model = Model,
                Body = """{"inputs":"hello","input_tokens":30,"output_tokens":5}"""u8.ToArray(),
                Deadline = TimeSpan.FromMinutes(30),
                Delivery = Delivery.Either,
            },
            CancellationToken.None);
        if (outcome.JobId is not { } id)
        {
            throw new InvalidOperationException(outcome.Problem?.Message);
        }

        var view = await jobs.GetAsync(Tenant, id, TimeSpan.FromMinutes(1), CancellationToken.None);
        var took = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (view is not { State: JobState.Succeeded })
        {
            throw new InvalidOperationException($"Job {id} is {view?.State}: {view?.Problem?.Message}");
        }

        var result = await jobs.GetResultAsync(Tenant, id, CancellationToken.None);
        using var answer = JsonDocument.Parse(result!.Body);
        return took - answer.RootElement.GetProperty("usage").GetProperty("service_ms").GetDouble();
    }

    private static CatalogDefinition Catalog { get; } = new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
        Tenants = [BenchmarkTenants.Create(Tenant.Value, Money.FromDollars(1_000_000))],
        Models =
        [
            new()
            {
                Name = Model,
                Variants =
                [
                    new()
                    {
                        Name = new("full"),
                        Endpoints =
                        [
                            new()
                            {
                                Name = new("chat-async"), Lane = Lane.Async, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 4, MinInstances = 1, MaxInstances = 1,
                                Prior = new() { ServiceP50Seconds = 0.2, ServiceP99Seconds = 2, ColdStartSeconds = 1 },
                                Simulation = new() { BaseSeconds = 0.2, Jitter = 0, DecodeTokensPerSecond = 0, StartSeconds = 0 },
                            },
                        ],
                    },
                ],
            },
        ],
    };
}
