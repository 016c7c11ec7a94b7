using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Storage;
using Orleans.TestingHost;
using OrleansInference.Aws;
using OrleansInference.Capacity;
using OrleansInference.Hosting;
using OrleansInference.Invocation;
using OrleansInference.Leases;

namespace OrleansInference.Tests.Faults;

/// <summary>
/// Three to five silos that come and go, and a silo that does not know of them but writes to the same storage: what a
/// network split makes of a cluster, so each tenant's grain may be active twice. All tell time by one fast clock.
/// </summary>
internal sealed class FaultCluster : IAsyncDisposable
{
    public const int LeastSilos = 3;
    public const int MostSilos = 5;

    // A lease lasts 80 s of this clock's time: four seconds.
    private const double Speed = 20;
    private const string WorldKey = "fault-world";
    private static readonly ConcurrentDictionary<string, FaultCluster> Worlds = new();
    private readonly string _id = Guid.NewGuid().ToString("n");
    private readonly List<TenantAccounts> _alive = [];
    private readonly Lock _silos = new();
    private TestCluster? _cluster;
    private TestCluster? _stranger;
    private TenantAccounts? _undead;

    private FaultCluster() => Worlds[_id] = this;

    public RouterClock Clock { get; } = new(TimeProvider.System, Speed);

    public FaultyStorage Storage { get; } = new();

    public IGrainFactory Grains => _cluster!.GrainFactory;

    public int Kills { get; private set; }

    /// <summary>The silos' accounts: of those that run, of some that were killed and do not know it yet, and of the stranger.</summary>
    public IReadOnlyList<TenantAccounts> Accounts
    {
        get
        {
            lock (_silos)
            {
                return [.. _alive];
            }
        }
    }

    public static async Task<FaultCluster> StartAsync(bool withStranger)
    {
        var world = new FaultCluster();
        world._cluster = await world.DeployAsync(LeastSilos);
        world._stranger = withStranger ? await world.DeployAsync(1) : null;
        world.Enlist(world._cluster.Silos);
        world.Enlist(world._stranger?.Silos ?? []);
        return world;
    }

    /// <summary>Kills or adds a silo, now and then, until told to stop. The first silo keeps the membership, and stays.</summary>
    public async Task HarassAsync(int seed, CancellationToken stop)
    {
        var random = new Random(seed);
        while (!stop.IsCancellationRequested)
        {
            var silos = _cluster!.Silos.Count;
            if (silos >= MostSilos || (silos > LeastSilos && random.Next(2) == 0))
            {
                await KillAsync(_cluster.SecondarySilos[random.Next(_cluster.SecondarySilos.Count)]);
            }
            else
            {
                Enlist([await _cluster.StartAdditionalSiloAsync()]);
            }

            await Task.Delay(random.Next(200, 1_200), CancellationToken.None);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster!.DisposeAsync();
        if (_stranger is not null)
        {
            await _stranger.DisposeAsync();
        }

        Worlds.TryRemove(_id, out _);
    }

    private async Task KillAsync(SiloHandle silo)
    {
        var accounts = AccountsOf(silo);
        await _cluster!.KillSiloAsync(silo);
        Kills++;
        lock (_silos)
        {
            // Those killed before the last are gone; the last goes on spending what it believes to have.
            _alive.Remove(accounts);
            _alive.RemoveAll(a => a == _undead);
            _alive.Add(_undead = accounts);
        }
    }

    private void Enlist(IEnumerable<SiloHandle> silos)
    {
        lock (_silos)
        {
            _alive.AddRange(silos.Select(AccountsOf));
        }
    }

    private static TenantAccounts AccountsOf(SiloHandle silo) => ((InProcessSiloHandle)silo).ServiceProvider.GetRequiredService<TenantAccounts>();

    private async Task<TestCluster> DeployAsync(short silos)
    {
        var builder = new TestClusterBuilder(silos);
        builder.Options.ServiceId = "fault-test";
        builder.Properties[WorldKey] = _id;
        builder.AddSiloBuilderConfigurator<Silo>();
        var cluster = builder.Build();
        await cluster.DeployAsync();
        return cluster;
    }

    private sealed class Silo : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder)
        {
            var world = Worlds[siloBuilder.Configuration[WorldKey]!];
            var aws = new FakeAws();
            siloBuilder.Configure<ClusterMembershipOptions>(options =>
            {
                options.ProbeTimeout = TimeSpan.FromMilliseconds(1_000);
                options.NumMissedProbesLimit = 2;
                options.NumVotesForDeathDeclaration = 1;
            });
            siloBuilder.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(5));
            siloBuilder.ConfigureLogging(logging => logging.SetMinimumLevel(LogLevel.Critical));
            siloBuilder.UseInMemoryReminderService();
            siloBuilder.Services.AddKeyedSingleton<IGrainStorage>(OrleansInferenceOptions.StorageName, world.Storage);
            siloBuilder.Services.AddSingleton<IModelRuntime>(aws);
            siloBuilder.Services.AddSingleton<IEndpointControl>(aws);
            siloBuilder.Services.AddSingleton(world.Clock);
            siloBuilder.Services.AddAwsClients(new() { Endpoint = new("http://127.0.0.1:9"), AccessKeyId = "test", SecretAccessKey = "test" });
            siloBuilder.AddOrleansInference();
        }
    }
}
