using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Orleans.Core.Internal;
using Orleans.Runtime.Placement;
using Orleans.TestingHost;
using OrleansInference.Leases;

namespace OrleansInference.Tests;

/// <summary>Tenants that nobody uses for a while, and tenants whose grain moves.</summary>
public sealed class IdleTenantTests
{
    private static readonly Money Price = Money.FromDollars(0.001m);

    [Fact]
    public async Task An_idle_tenant_gives_its_lease_back_leaves_memory_and_is_there_again_at_the_next_use()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        await using var world = await RouterCluster.StartAsync(silos: 2, clock: new(time));
        await world.ApplyAsync(SampleCatalog.Create(Price * 2));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        await SpendAsync(world);
        var busy = await tenant.GetBudget();
        Assert.Equal(Price * 2, busy.SettledTotal + busy.Leases.Aggregate(Money.Zero, static (sum, lease) => sum + lease.Outstanding) + busy.Windows[0].Available);
        Assert.NotEmpty(busy.Leases);

        for (var second = 0; second <= LeaseAccount.IdleMs / 1000; second++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await world.BeatAsync();
        }

        var idle = await tenant.GetBudget();
        Assert.Empty(idle.Leases);
        Assert.Equal((Price, Money.Zero, Price), (idle.SettledTotal, idle.UnreportedTotal, idle.Windows[0].Available));

        var management = world.Grains.GetGrain<IManagementGrain>(0);
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                await management.ForceActivationCollection(TimeSpan.FromMilliseconds(100));
                return await management.GetDetailedGrainStatistics();
            },
            grains => !grains.Any(grain => grain.GrainId == tenant.GetGrainId()));

        await SpendAsync(world);
        Assert.Null((await ReserveAsync(world)).Reservation);
        time.Advance(TimeSpan.FromSeconds(2));
        await world.BeatAsync();
        Assert.Equal(Price * 2, (await tenant.GetBudget()).SettledTotal);
    }

    [Fact]
    public async Task A_tenant_that_has_left_memory_finds_all_its_reservations_again()
    {
        const int Jobs = 700;
        await using var world = await RouterCluster.StartAsync(silos: 2);
        await world.ApplyAsync(SampleCatalog.Create(Price * Jobs));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        var until = world.Clock.Now + 600_000;
        foreach (var some in Enumerable.Range(0, Jobs).Chunk(100))
        {
            Assert.All(await Task.WhenAll(some.Select(job => tenant.Reserve($"job-{job}", Price, until))), static reply => Assert.True(reply.Granted));
        }

        // Some while it stays, and some after each time that it was taken up again.
        for (var round = 0; round < 4; round++)
        {
            foreach (var some in Enumerable.Range(0, Jobs).Where(job => job % 4 == round).Chunk(50))
            {
                Assert.All(await Task.WhenAll(some.Select(job => tenant.Settle($"job-{job}", Price))), static ended => Assert.Equal(Price, ended!.Charge));
            }

            await tenant.Cast<IGrainManagementExtension>().DeactivateOnIdle();
            var budget = await tenant.GetBudget();
            Assert.Equal((Price * (Jobs / 4) * (round + 1), Price * (Jobs / 4) * (3 - round)), (budget.SettledTotal, budget.Reserved));
        }
    }

    [Fact]
    public async Task A_tenants_grain_that_moves_to_another_silo_takes_its_ledger_with_it()
    {
        await using var world = await RouterCluster.StartAsync(silos: 2);
        await world.ApplyAsync(SampleCatalog.Create(Price * 10));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        await tenant.Reserve("job", Price * 3, world.Clock.Now + 600_000);
        await tenant.Settle("job", Price * 2);

        var management = world.Grains.GetGrain<IManagementGrain>(0);
        var from = await management.GetActivationAddress(tenant);
        var to = world.Cluster.Silos.Single(silo => !silo.SiloAddress.Equals(from)).SiloAddress;
        RequestContext.Set(IPlacementDirector.PlacementHintKey, to);
        await tenant.Cast<IGrainManagementExtension>().MigrateOnIdle();
        RequestContext.Clear();
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                await tenant.GetDefinition();
                return await management.GetActivationAddress(tenant);
            },
            to.Equals);

        Assert.NotNull(await tenant.GetDefinition());
        Assert.Equal(Price * 2, (await tenant.GetBudget()).SettledTotal);
        await tenant.Reserve("job-2", Price, world.Clock.Now + 600_000);
        Assert.Equal(Price, (await tenant.GetBudget()).Reserved);
    }

    private static async Task SpendAsync(RouterCluster world)
    {
        var reply = await ReserveAsync(world);
        Assert.NotNull(reply.Reservation);
        reply.Reservation.Value.Settle(Price);
    }

    private static async Task<MoneyReply> ReserveAsync(RouterCluster world)
    {
        var accounts = ((InProcessSiloHandle)world.Cluster.Silos[0]).ServiceProvider.GetRequiredService<TenantAccounts>();
        var account = await accounts.GetAsync(SampleCatalog.Poor);
        Assert.NotNull(account);
        return await account.ReserveAsync(Price, long.MaxValue, CancellationToken.None);
    }
}
