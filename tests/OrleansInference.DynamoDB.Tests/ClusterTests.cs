using Microsoft.Extensions.Configuration;
using Orleans.Configuration;
using Orleans.TestingHost;
using OrleansInference.Tests;

namespace OrleansInference.DynamoDB.Tests;

[Alias("dynamo.ICounterGrain")]
public interface ICounterGrain : IGrainWithStringKey
{
    [Alias("Add")] Task<int> Add(int amount);

    [Alias("Get")] Task<int> Get();

    [Alias("Where")] Task<string> Where();

    [Alias("Remind")] Task Remind();

    [Alias("Reminders")] Task<int> Reminders();
}

[GenerateSerializer, Alias("dynamo.CounterState")]
public sealed class CounterState
{
    [Id(0)] public int Value { get; set; }
}

public sealed class CounterGrain([PersistentState("counter", "dynamo")] IPersistentState<CounterState> state) : Grain, ICounterGrain, IRemindable
{
    public async Task<int> Add(int amount)
    {
        state.State.Value += amount;
        await state.WriteStateAsync();
        return state.State.Value;
    }

    public Task<int> Get() => Task.FromResult(state.State.Value);

    public Task<string> Where() => Task.FromResult(RuntimeIdentity);

    public Task Remind() => this.RegisterOrUpdateReminder("tick", TimeSpan.FromHours(1), TimeSpan.FromHours(1));

    public async Task<int> Reminders() => (await this.GetReminders()).Count;

    public Task ReceiveReminder(string reminderName, TickStatus status) => Task.CompletedTask;
}

[Collection(DynaliteCollection.Name)]
public sealed class ClusterTests(Dynalite dynalite)
{
    private readonly string _silos = Dynalite.NewTable();
    private readonly string _state = Dynalite.NewTable();
    private readonly string _reminders = Dynalite.NewTable();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Five_silos_form_a_cluster_and_the_grains_of_a_killed_one_serve_again_elsewhere()
    {
        const int Grains = 60;
        await using (var cluster = await StartAsync(silos: 5))
        {
            Assert.Equal(5, await ActiveAsync(cluster, 5));
            Assert.Equal(Enumerable.Range(0, Grains), await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => Counter(cluster, i).Add(i))));
            await Counter(cluster, 1).Remind();
            var places = await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => Counter(cluster, i).Where()));
            Assert.Equal(5, places.Distinct().Count());

            // Two die without a word, one leaves, one joins, while grains are called.
            await cluster.KillSiloAsync(cluster.SecondarySilos[0]);
            await cluster.KillSiloAsync(cluster.SecondarySilos[0]);
            Assert.Equal(3, await ActiveAsync(cluster, 3));
            await cluster.StopSiloAsync(cluster.SecondarySilos[0]);
            await cluster.StartAdditionalSiloAsync();
            Assert.Equal(3, await ActiveAsync(cluster, 3));
            Assert.Equal(Enumerable.Range(0, Grains).Select(static i => 2 * i), await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => LostCalls.AgainAsync(() => Counter(cluster, i).Add(i)))));
            var statuses = (await LostCalls.AgainAsync(() => cluster.GrainFactory.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: false))).GroupBy(static host => host.Status).ToDictionary(static group => group.Key, static group => group.Count());
            Assert.Equal((3, 3), (statuses[SiloStatus.Active], statuses[SiloStatus.Dead]));
        }

        // All stopped: what was stored is there for the next cluster.
        await using var again = await StartAsync(silos: 2);
        Assert.Equal(Enumerable.Range(0, Grains).Select(static i => 2 * i), await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => Counter(again, i).Get())));
        Assert.Equal((1, 0), (await Counter(again, 1).Reminders(), await Counter(again, 2).Reminders()));
    }

    private static ICounterGrain Counter(TestCluster cluster, int i) => cluster.GrainFactory.GetGrain<ICounterGrain>($"{i}");

    private static async Task<int> ActiveAsync(TestCluster cluster, int wanted)
    {
        var management = cluster.GrainFactory.GetGrain<IManagementGrain>(0);
        while (true)
        {
            var active = (await LostCalls.AgainAsync(() => management.GetHosts(onlyActive: true))).Count;
            if (active == wanted)
            {
                return active;
            }

            await Task.Delay(50, Cancelled);
        }
    }

    private async Task<TestCluster> StartAsync(short silos)
    {
        var builder = new TestClusterBuilder(silos);
        builder.Options.ServiceId = "dynamo-test";
        builder.Options.UseTestClusterMembership = false;
        builder.Properties["service"] = dynalite.Service;
        builder.Properties["silos"] = _silos;
        builder.Properties["state"] = _state;
        builder.Properties["reminders"] = _reminders;
        builder.AddSiloBuilderConfigurator<Silo>();
        builder.AddClientBuilderConfigurator<Client>();
        var cluster = builder.Build();
        try
        {
            await cluster.DeployAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    private sealed class Silo : ISiloConfigurator
    {
        public void Configure(ISiloBuilder siloBuilder)
        {
            var settings = siloBuilder.Configuration;
            siloBuilder.Configure<ClusterMembershipOptions>(static options =>
            {
                // The killed silos should be noticed quickly.
                options.ProbeTimeout = TimeSpan.FromMilliseconds(500);
                options.NumMissedProbesLimit = 2;
                options.NumVotesForDeathDeclaration = 1;
            });
            siloBuilder.UseDynamoDBClustering(options => (options.Service, options.TableName) = (settings["service"]!, settings["silos"]!));
            siloBuilder.AddDynamoDBGrainStorage("dynamo", options => (options.Service, options.TableName, options.Patience) = (settings["service"]!, settings["state"]!, TablePatience.InBackground));
            siloBuilder.UseDynamoDBReminderService(options => (options.Service, options.TableName, options.Patience) = (settings["service"]!, settings["reminders"]!, TablePatience.InBackground));
        }
    }

    private sealed class Client : IClientBuilderConfigurator
    {
        public void Configure(IConfiguration configuration, IClientBuilder clientBuilder) =>
            clientBuilder.UseDynamoDBClustering(options => (options.Service, options.TableName) = (configuration["service"]!, configuration["silos"]!));
    }
}
