using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Audit;
using OrleansInference.Benchmarks.Routing;
using OrleansInference.Benchmarks.Silos;
using OrleansInference.Capacity;
using OrleansInference.Invocation;
using OrleansInference.Jobs;
using OrleansInference.Payloads;

namespace OrleansInference.Benchmarks.Jobs;

/// <summary>
/// A hundred thousand jobs of fifty tenants on the embedded store: how fast they are accepted, and what a server costs that comes up with them. Each in a
/// process of its own, the first of which ends without a word.
/// </summary>
internal static class OpenJobs
{
    private const int Tenants = 50;
    private const int Jobs = 100_000;
    private const int Backlog = 1_000_000;
    private const int AtOnce = 512;
    private const int WarmUp = 4_000;
    private const int Watched = 60;
    private const double Megabyte = 1e6;

    private static readonly EndpointName Endpoint = new("chat-async");
    private static readonly ModelName Model = new("chat");

    /// <summary>A million jobs wait: what of them is in memory, while they come and a minute later.</summary>
    public static async Task RunBacklogAsync(Figures figures)
    {
        var folder = Directory.CreateTempSubdirectory("oi-bench-jobs-").FullName;
        try
        {
            figures.Say($"{Backlog} jobs are accepted, and wait");
            var waiting = await InProcessAsync("backlog", Path.Combine(folder, "state.db"));
            figures.Print("backlog.accepted_durable", waiting[0], "jobs/s", 2_000, Better.High);
            figures.Print("backlog.most_live_jobs", waiting[1], "activations", 10_000, Better.Low);
            figures.Print("backlog.peak_memory", waiting[2], "MB", null, Better.Low);
            figures.Print("backlog.memory_when_all_wait", waiting[3], "MB", null, Better.Low);
            figures.Print("backlog.memory_per_job", waiting[4], "B/job", null, Better.Low);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public static async Task RunAsync(Figures figures)
    {
        var folder = Directory.CreateTempSubdirectory("oi-bench-jobs-").FullName;
        try
        {
            var file = Path.Combine(folder, "state.db");
            figures.Say($"{Jobs} jobs are accepted, each durable before it is answered");
            var accepted = await InProcessAsync("fill", file);
            figures.Print("jobs.accepted_durable", accepted[0], "jobs/s", 2_000, Better.High);
            figures.Print("jobs.accept_p50", accepted[1], "ms", null, Better.Low);
            figures.Print("jobs.accept_p99", accepted[2], "ms", null, Better.Low);
            figures.Print("jobs.storage", accepted[3], "B/job", null, Better.Low);
            figures.Say($"a server starts with them, and is watched for {Watched} s");
            var restart = await InProcessAsync("restart", file);
            figures.Print("jobs.restart_serves", restart[0], "s", 20, Better.Low);
            figures.Print("jobs.restart_peak_memory", restart[1], "MB", 1_000, Better.Low);
            figures.Print("jobs.restart_live_jobs", restart[2], "activations", null, Better.Low);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The part that runs in a process of its own; prints what it measured.</summary>
    public static async Task<int> RunPartAsync(string part, string file)
    {
        var silo = await StartAsync(file);
        var figures = part switch
        {
            "fill" => await FillAsync(silo, file),
            "backlog" => await BacklogAsync(silo),
            _ => await RestartAsync(silo),
        };
        Console.Out.WriteLine(string.Join(' ', figures.Select(static figure => figure.ToString(CultureInfo.InvariantCulture))));
        Console.Out.Flush();

        // As a process dies that is killed: nothing is brought to an end.
        Process.GetCurrentProcess().Kill();
        return 0;
    }

    private static async Task<double[]> BacklogAsync(BenchmarkSilo silo)
    {
        var submitter = await WarmUpAsync(silo);
        GC.Collect();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var done = new CancellationTokenSource();
        var most = MostLiveAsync(silo, done.Token);
        var start = Stopwatch.GetTimestamp();
        await AcceptAsync(submitter, "job", Backlog, new double[Backlog]);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await Task.Delay(TimeSpan.FromSeconds(Watched));
        await done.CancelAsync();
        using var process = Process.GetCurrentProcess();
        var memory = GC.GetTotalMemory(forceFullCollection: true);
        return [Backlog / seconds, await most, process.PeakWorkingSet64 / Megabyte, memory / Megabyte, (double)(memory - before) / Backlog];
    }

    private static async Task<double> MostLiveAsync(BenchmarkSilo silo, CancellationToken cancellationToken)
    {
        var most = 0;
        for (; !cancellationToken.IsCancellationRequested; await Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None))
        {
            most = Math.Max(most, await LiveAsync(silo));
        }

        return most;
    }

    private static async Task<int> LiveAsync(BenchmarkSilo silo) =>
        (await silo.Grains.GetGrain<IManagementGrain>(0).GetSimpleGrainStatistics()).Where(static grain => grain.GrainType.Contains("JobGrain", StringComparison.Ordinal)).Sum(static grain => grain.ActivationCount);

    private static async Task<IJobSubmitter> WarmUpAsync(BenchmarkSilo silo)
    {
        var reply = await silo.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(Catalog());
        if (!reply.Problems.IsEmpty)
        {
            throw new InvalidOperationException(string.Join("; ", reply.Problems));
        }

        var submitter = silo.Services.GetRequiredService<IJobSubmitter>();
        await AcceptAsync(submitter, "warm", WarmUp, new double[WarmUp]);
        return submitter;
    }

    private static async Task<double[]> FillAsync(BenchmarkSilo silo, string file)
    {
        var submitter = await WarmUpAsync(silo);
        var times = new double[Jobs];
        var start = Stopwatch.GetTimestamp();
        await AcceptAsync(submitter, "job", Jobs, times);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Array.Sort(times);
        var bytes = new DirectoryInfo(Path.GetDirectoryName(file)!).EnumerateFiles().Sum(static stored => stored.Length);
        return [Jobs / seconds, times[Jobs / 2], times[Jobs * 99 / 100], (double)bytes / (Jobs + WarmUp)];
    }

    private static async Task<double[]> RestartAsync(BenchmarkSilo silo)
    {
        var old = await silo.Grains.GetGrain<IJobGrain>(new JobAddress(TenantOf(7), JobAddress.IdOf(TenantOf(7), "job-7")).Key).Get();
        if (old is null)
        {
            throw new InvalidOperationException("A job that was accepted is gone.");
        }

        await AcceptAsync(silo.Services.GetRequiredService<IJobSubmitter>(), "new", 1, new double[1]);
        using var process = Process.GetCurrentProcess();
        var seconds = (DateTime.Now - process.StartTime).TotalSeconds;
        await Task.Delay(TimeSpan.FromSeconds(Watched));
        process.Refresh();
        return [seconds, process.PeakWorkingSet64 / Megabyte, await LiveAsync(silo)];
    }

    private static Task AcceptAsync(IJobSubmitter submitter, string prefix, int count, double[] times) =>
        Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (i, cancellationToken) =>
        {
            var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
            var start = Stopwatch.GetTimestamp();
            var outcome = await submitter.SubmitAsync(
                new()
                {
                    Request = new()
                    {
                        Tenant = TenantOf(i),
                        Model = Model,
                        Body = """{"inputs":"Where is my parcel?"}"""u8.ToArray(),
                        IdempotencyKey = $"{prefix}-{i}",
                        Delivery = Delivery.Either,
                    },
                    Route = new()
                    {
                        DecisionId = $"{prefix}-{i}",
                        Class = TrafficClass.Low,
                        Lane = Lane.Async,
                        Endpoint = Endpoint,
                        Variant = new("full"),
                        ChargeCap = Money.FromDollars(0.01m),
                    },
                    AcceptedAt = now,
                    Deadline = now + 86_400_000,
                },
                cancellationToken);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (outcome.JobId is null)
            {
                throw new InvalidOperationException(outcome.Problem?.Message);
            }
        });

    private static TenantId TenantOf(int job) => new($"tenant-{job % Tenants}");

    private static async Task<BenchmarkSilo> StartAsync(string file)
    {
        var aws = new SleepingAws();
        return await BenchmarkSilo.StartAsync(
            aws: services => services.AddSingleton<IModelRuntime>(aws).AddSingleton<IEndpointControl>(aws).AddSingleton<IObjectStore>(aws).AddSingleton<IMessageQueue>(aws).AddSingleton<IAuditLog>(new SummedAudit()),
            file: file,
            keepsLong: false,
            configure: static options => options.NotificationQueue = "completions");
    }

    private static async Task<double[]> InProcessAsync(string part, string file)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["jobs", part, file]) { RedirectStandardOutput = true };

        // As the server runs.
        start.Environment["DOTNET_gcServer"] = "1";
        using var process = Process.Start(start)!;
        var said = await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException($"The part '{part}' of the suite failed.");
        await process.WaitForExitAsync();
        return [.. said.Split(' ').Select(static figure => double.Parse(figure, CultureInfo.InvariantCulture))];
    }

    private static CatalogDefinition Catalog() => new()
    {
        InstancePrices = ImmutableDictionary<string, Money>.Empty.Add("ml.g5.xlarge", Money.FromDollars(1.408m)),
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
                                Name = Endpoint, Lane = Lane.Async, InstanceType = "ml.g5.xlarge", ConcurrencyPerInstance = 4, MinInstances = 1, MaxInstances = 8, MaxServiceSeconds = 900,
                                Prior = new() { ServiceP50Seconds = 20, ServiceP99Seconds = 60, ColdStartSeconds = 60 },
                            },
                        ],
                    },
                ],
            },
        ],
        Tenants = [.. Enumerable.Range(0, Tenants).Select(static i => new TenantDefinition { Id = TenantOf(i), Budgets = [new() { Kind = BudgetWindowKind.CalendarMonth, Limit = Money.FromDollars(1_000_000m) }] })],
    };
}
