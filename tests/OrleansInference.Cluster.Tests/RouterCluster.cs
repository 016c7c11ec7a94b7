using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Orleans.Configuration;
using Orleans.TestingHost;
using OrleansInference.Audit;
using OrleansInference.Aws;
using OrleansInference.Capacity;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Jobs;
using OrleansInference.Leases;
using OrleansInference.LocalAws;
using OrleansInference.Sqlite;

namespace OrleansInference.Tests;

/// <summary>Silos in this process on one SQLite file, with models in memory, S3 and SQS embedded, and one audit log.</summary>
internal sealed class RouterCluster : IAsyncDisposable
{
    private const string WorldKey = "world";
    private static readonly ConcurrentDictionary<string, RouterCluster> Worlds = new();
    private readonly string _id = Guid.NewGuid().ToString("n");
    private readonly string _folder = Directory.CreateTempSubdirectory("oi-cluster-").FullName;
    private TestCluster? _cluster;
    private LocalAwsServer? _stores;

    private RouterCluster() => Worlds[_id] = this;

    public FakeAws Aws { get; } = new();

    public MemoryAuditLog Audit { get; } = new();

    public TestCluster Cluster => _cluster!;

    /// <summary>Grains as the first silo calls them: no test kills it, and it needs no gateway, which may be one that was killed.</summary>
    public IGrainFactory Grains => ((InProcessSiloHandle)Cluster.Primary!).ServiceProvider.GetRequiredService<IGrainFactory>();

    /// <summary>Conflicts that the grain storage is to report.</summary>
    public ConflictingStorage Conflicts { get; } = new();

    /// <summary>What the router's own code logged as an error, on any silo.</summary>
    public ConcurrentQueue<string> Errors { get; } = new();

    /// <summary>What it warned of.</summary>
    public ConcurrentQueue<string> Warnings { get; } = new();

    /// <summary>Whether routing snapshots that are pushed to the silos are lost on the way.</summary>
    public bool LosesSnapshots { get; set; }

    /// <summary>What a lease report waits for before it reaches a grain, by the grain's type and key.</summary>
    public Func<string, Task> RefillHold { get; set; } = static _ => Task.CompletedTask;

    /// <summary>What becomes of a message about slots between the silos; null: it arrives.</summary>
    public Func<IOutgoingGrainCallContext, Task>? SlotNetwork { get; set; }

    /// <summary>Whether a call of a grain is lost, as it is when the grain's silo has just died.</summary>
    public Func<IOutgoingGrainCallContext, bool> Loses { get; set; } = static _ => false;

    /// <summary>What becomes of the control plane's answers; null: they are the embedded one's.</summary>
    public Func<IEndpointControl, IEndpointControl>? ControlPlane { get; set; }

    /// <summary>The embedded AWS.</summary>
    public LocalAwsServer LocalAws => _stores!;

    /// <summary>Whether the models are the embedded AWS's, as the catalog describes them; else they are <see cref="Aws"/>.</summary>
    public bool HasLocalModels { get; private init; }

    public RouterClock Clock { get; private init; } = new(TimeProvider.System);

    public Action<OrleansInferenceOptions> Options { get; private init; } = static _ => { };

    public static async Task<RouterCluster> StartAsync(short silos = 3, double speed = 1, RouterClock? clock = null, Action<OrleansInferenceOptions>? options = null, bool localModels = false)
    {
        var world = new RouterCluster
        {
            Clock = clock ?? new(TimeProvider.System, speed),
            Options = options ?? (static _ => { }),
            HasLocalModels = localModels,
        };
        world._stores = await LocalAwsServer.StartAsync(new() { Clock = world.Clock }, TestContext.Current.CancellationToken);
        await world.DeployAsync(silos);
        return world;
    }

    public IJobs Jobs => ((InProcessSiloHandle)Cluster.Primary!).ServiceProvider.GetRequiredService<IJobs>();

    public IReadOnlyList<IDispatcher> Dispatchers() => [.. Cluster.Silos.Select(Dispatcher)];

    public IDispatcher Dispatcher(SiloHandle silo) => ((InProcessSiloHandle)silo).ServiceProvider.GetRequiredService<IDispatcher>();

    /// <summary>Has every silo report to the owners of its leases, as it does each second of the router's time.</summary>
    public Task BeatAsync() => Task.WhenAll(Cluster.Silos.Select(static silo => ((InProcessSiloHandle)silo).ServiceProvider.GetRequiredService<TenantAccounts>().BeatAsync(closing: false)));

    public async Task ApplyAsync(CatalogDefinition catalog)
    {
        if (HasLocalModels)
        {
            await LocalAws.ApplyCatalogAsync(catalog);
        }

        var reply = await Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Apply(catalog);
        Assert.Empty(reply.Problems);
    }

    /// <summary>Stops every silo and starts as many anew on the same file.</summary>
    public async Task RestartAsync(short silos = 3)
    {
        await Cluster.StopAllSilosAsync();
        await Cluster.DisposeAsync();
        await DeployAsync(silos);
    }

    public async ValueTask DisposeAsync()
    {
        await Cluster.DisposeAsync();
        await _stores!.DisposeAsync();
        Worlds.TryRemove(_id, out _);
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Asks until the answer holds; fails after a minute.</summary>
    public static async Task<T> EventuallyAsync<T>(Func<Task<T>> ask, Func<T, bool> holds)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (true)
        {
            object? last;
            try
            {
                var answer = await ask();
                if (holds(answer))
                {
                    return answer;
                }

                last = answer;
            }
            catch (Exception exception) when (LostCalls.IsOne(exception))
            {
                // The grain was on a silo that has just been killed: who asks then asks again.
                last = exception;
            }

            Assert.False(patience.IsCancellationRequested, $"It did not come to hold within a minute; last: {last}");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Time that the test tells passes.</summary>
    public void Pass(double seconds) => ((FakeTimeProvider)Clock.TimeProvider).Advance(TimeSpan.FromSeconds(seconds));

    /// <summary>Such time passes until it holds, and stands when so much of it has passed, however long the machine takes.</summary>
    public async Task PassAsync(double seconds, Func<bool> holds)
    {
        const int steps = 50;
        var passed = 0;
        await EventuallyAsync(
            () =>
            {
                var isSo = holds();
                if (!isSo && passed++ < steps)
                {
                    Pass(seconds / steps);
                }

                return Task.FromResult(isSo);
            },
            static isSo => isSo);
    }

    private async Task DeployAsync(short silos)
    {
        var builder = new TestClusterBuilder(silos);
        builder.Options.ServiceId = "router-test";
        builder.Properties[WorldKey] = _id;
        builder.AddSiloBuilderConfigurator<Silo>();
        _cluster = builder.Build();
        await _cluster.DeployAsync();
    }

    private sealed class ErrorLog(ConcurrentQueue<string> errors, ConcurrentQueue<string> warnings) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => categoryName.StartsWith(nameof(OrleansInference), StringComparison.Ordinal) ? this : NullLogger.Instance;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                (logLevel >= LogLevel.Error ? errors : warnings).Enqueue($"{formatter(state, exception)} {exception}");
            }
        }

        public void Dispose()
        {
            // It holds nothing.
        }
    }

    private void DecorateControlPlane(IServiceCollection services)
    {
        if (services.LastOrDefault(static service => service.ServiceType == typeof(IEndpointControl)) is { ImplementationType: { } type } plain)
        {
            services.Remove(plain);
            services.AddSingleton(provider =>
            {
                var control = (IEndpointControl)ActivatorUtilities.CreateInstance(provider, type);
                return ControlPlane?.Invoke(control) ?? control;
            });
        }
    }

    private async Task HoldAsync(IOutgoingGrainCallContext context)
    {
        await RefillHold($"{context.InterfaceName}/{context.TargetId.Key}");
        await context.Invoke();
    }

    private sealed class Silo : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder)
        {
            var world = Worlds[siloBuilder.Configuration[WorldKey]!];
            var file = Path.Combine(world._folder, "data.db");
            siloBuilder.Configure<ClusterMembershipOptions>(options =>
            {
                // A killed silo should be noticed quickly.
                options.ProbeTimeout = TimeSpan.FromMilliseconds(1000);
                options.NumMissedProbesLimit = 2;
                options.NumVotesForDeathDeclaration = 1;
            });
            siloBuilder.AddSqliteGrainStorage(OrleansInferenceOptions.StorageName, options => options.FilePath = file);
            siloBuilder.UseSqliteReminderService(options => options.FilePath = file);
            siloBuilder.ConfigureLogging(logging => logging.AddProvider(new ErrorLog(world.Errors, world.Warnings)));
            if (!world.HasLocalModels)
            {
                siloBuilder.Services.AddSingleton<IModelRuntime>(world.Aws);
                siloBuilder.Services.AddSingleton<IEndpointControl>(world.Aws);
            }

            siloBuilder.Services.AddSingleton<IAuditLog>(world.Audit);
            siloBuilder.Services.AddAwsClients(new() { Endpoint = world._stores!.Address, AccessKeyId = "test", SecretAccessKey = "test" });
            world.DecorateControlPlane(siloBuilder.Services);
            siloBuilder.Services.AddSingleton(world.Clock);
            siloBuilder.AddOutgoingGrainCallFilter(context =>
                world.LosesSnapshots && context.MethodName == nameof(IRoutingObserver.OnSnapshot)
                    ? Task.CompletedTask
                    : world.Loses(context) ? Task.FromException(new SiloUnavailableException("The silo has just died."))
                    : world.SlotNetwork is { } network && context.InterfaceName.Contains(nameof(IEndpointGrain), StringComparison.Ordinal) | context.InterfaceName.Contains(nameof(ISlotObserver), StringComparison.Ordinal) ? network(context)
                    : context.MethodName == nameof(IEndpointGrain.Refill) ? world.HoldAsync(context)
                    : context.Invoke());
            siloBuilder.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.FromSeconds(1));
            world.Conflicts.Decorate(siloBuilder.Services);
            siloBuilder.AddOrleansInference(world.Options);
            siloBuilder.Services.AddHostedService<SiloDeaths>();
        }
    }
}
