using Orleans.Configuration;
using Orleans.TestingHost;
using OrleansInference.Tests;

namespace OrleansInference.Sqlite.Tests;

[Alias("test.ICounterGrain")]
public interface ICounterGrain : IGrainWithStringKey
{
    [Alias("Add")] Task<int> Add(int amount);

    [Alias("Get")] Task<int> Get();

    [Alias("Remind")] Task Remind();

    [Alias("Reminders")] Task<int> Reminders();
}

[GenerateSerializer, Alias("test.CounterState")]
public sealed class CounterState
{
    [Id(0)] public int Value { get; set; }
}

public sealed class CounterGrain([PersistentState("counter", "sqlite")] IPersistentState<CounterState> state) : Grain, ICounterGrain, IRemindable
{
    public async Task<int> Add(int amount)
    {
        state.State.Value += amount;
        await state.WriteStateAsync();
        return state.State.Value;
    }

    public Task<int> Get() => Task.FromResult(state.State.Value);

    public Task Remind() => this.RegisterOrUpdateReminder("tick", TimeSpan.FromHours(1), TimeSpan.FromHours(1));

    public async Task<int> Reminders() => (await this.GetReminders()).Count;

    public Task ReceiveReminder(string reminderName, TickStatus status) => Task.CompletedTask;
}

public sealed class ClusterTests : IDisposable
{
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Silos_of_one_process_share_the_file_and_the_state_outlives_them()
    {
        const int Grains = 40;
        await using (var cluster = await StartAsync(silos: 2))
        {
            var values = await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => Counter(cluster, i).Add(i)));
            Assert.Equal(Enumerable.Range(0, Grains), values);
            await Counter(cluster, 1).Remind();

            await cluster.KillSiloAsync(cluster.SecondarySilos[0]);
            var management = cluster.GrainFactory.GetGrain<IManagementGrain>(0);
            while ((await LostCalls.AgainAsync(() => management.GetHosts(onlyActive: true))).Count > 1)
            {
                await Task.Delay(20, TestContext.Current.CancellationToken);
            }

            Assert.Equal(Enumerable.Range(0, Grains).Select(i => 2 * i), await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => LostCalls.AgainAsync(() => Counter(cluster, i).Add(i)))));
        }

        await using var again = await StartAsync(silos: 1);
        Assert.Equal(Enumerable.Range(0, Grains).Select(i => 2 * i), await Task.WhenAll(Enumerable.Range(0, Grains).Select(i => Counter(again, i).Get())));
        Assert.Equal(1, await Counter(again, 1).Reminders());
        Assert.Equal(0, await Counter(again, 2).Reminders());
    }

    [Theory]
    [InlineData("")]
    [InlineData(":memory:")]
    [InlineData("folder/")]
    public async Task A_silo_without_a_usable_path_does_not_start_and_says_which_option(string path)
    {
        var failure = await Assert.ThrowsAnyAsync<Exception>(() => StartAsync(silos: 1, path));
        Assert.Contains("FilePath", failure.ToString(), StringComparison.Ordinal);
    }

    private static ICounterGrain Counter(TestCluster cluster, int i) => cluster.GrainFactory.GetGrain<ICounterGrain>($"{i}");

    private async Task<TestCluster> StartAsync(short silos, string? path = null)
    {
        var builder = new TestClusterBuilder(silos);
        builder.Options.ServiceId = "sqlite-test";
        builder.Properties["file"] = path ?? _folder.FilePath;
        builder.AddSiloBuilderConfigurator<Silo>();
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
            var file = siloBuilder.Configuration["file"] ?? "";
            siloBuilder.Configure<ClusterMembershipOptions>(options =>
            {
                // The killed silo should be noticed quickly.
                options.ProbeTimeout = TimeSpan.FromMilliseconds(500);
                options.NumMissedProbesLimit = 1;
                options.NumVotesForDeathDeclaration = 1;
            });
            siloBuilder.AddSqliteGrainStorage("sqlite", options => options.FilePath = file);
            siloBuilder.UseSqliteReminderService(options => options.FilePath = file);
        }
    }
}
