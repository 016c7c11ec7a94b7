using System.Reflection;
using Orleans.Core.Internal;
using Orleans.Runtime.Placement;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

/// <summary>Grains that move to another silo, as they do when theirs is stopped.</summary>
public sealed class MovedGrainTests
{
    [Fact]
    public void Whatever_is_stored_is_in_the_storage_whose_states_do_not_travel()
    {
        var stored = (
            from type in typeof(OrleansInferenceOptions).Assembly.GetTypes()
            from constructor in type.GetConstructors()
            from parameter in constructor.GetParameters()
            let state = parameter.GetCustomAttribute<PersistentStateAttribute>()
            where state is not null
            select (type.Name, state.StorageName, Type: parameter.ParameterType.GetGenericArguments().Single())).ToArray();
        Assert.True(stored.Length >= 12, $"{stored.Length} grains store anything");
        Assert.All(stored, static state => Assert.True(
            state.StorageName == OrleansInferenceOptions.StorageName || state.Type.IsDefined(typeof(GenerateSerializerAttribute)),
            $"{state.Name} would move with a {state.Type.Name}, which has no serializer"));
    }

    [Fact]
    public async Task They_read_where_they_arrive_what_is_stored_and_nothing_fails_on_the_way()
    {
        await using var world = await RouterCluster.StartAsync(silos: 2);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(1)));
        var record = new KeyRecord { Tenant = SampleCatalog.Poor, ApiKeyHash = new byte[32], EncryptedSecret = new byte[32] };
        await world.Grains.GetGrain<IKeyGrain>("key").Put(record);
        Assert.True((await world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor) with { IdempotencyKey = "order-7" }, CancellationToken.None)).IsAnswer);

        var model = world.Grains.GetGrain<IModelGrain>(SampleCatalog.Model.Value);
        await MoveAsync(world, model, async () => Assert.NotNull(await model.GetStatistics()));
        var tenant = world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value);
        await MoveAsync(world, tenant, async () => Assert.NotNull(await tenant.GetDefinition()));
        var endpoint = world.Grains.GetGrain<IEndpointGrain>("chat-rt");
        await MoveAsync(world, endpoint, async () => Assert.NotNull(await endpoint.GetView()));
        var catalog = world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key);
        await MoveAsync(world, catalog, async () => Assert.Single((await catalog.Get()).Models));
        var key = world.Grains.GetGrain<IKeyGrain>("key");
        await MoveAsync(world, key, async () => Assert.Equal(record.Tenant, (await key.Get())?.Tenant));
        Assert.Empty(world.Errors);
    }

    private static async Task MoveAsync(RouterCluster world, IGrain grain, Func<Task> check)
    {
        await check();
        var management = world.Grains.GetGrain<IManagementGrain>(0);
        var from = await management.GetActivationAddress(grain);
        var to = world.Cluster.Silos.Single(silo => !silo.SiloAddress.Equals(from)).SiloAddress;
        await RouterCluster.EventuallyAsync(
            async () =>
            {
                if (!to.Equals(await management.GetActivationAddress(grain)))
                {
                    RequestContext.Set(IPlacementDirector.PlacementHintKey, to);
                    await grain.Cast<IGrainManagementExtension>().MigrateOnIdle();
                    RequestContext.Clear();
                }

                await check();
                return await management.GetActivationAddress(grain);
            },
            to.Equals);
    }
}
