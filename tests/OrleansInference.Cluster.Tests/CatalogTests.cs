using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;
using Orleans.TestingHost;
using OrleansInference.Batch;
using OrleansInference.Catalog;
using OrleansInference.Hosting;

namespace OrleansInference.Tests;

public sealed class CatalogTests
{
    [Fact]
    public async Task A_change_reaches_every_silo_and_what_was_removed_is_gone()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var request = SampleCatalog.Request(SampleCatalog.Rich);
        foreach (var dispatcher in world.Dispatchers())
        {
            Assert.Equal("chat-rt", (await dispatcher.InvokeAsync(request, CancellationToken.None)).Route!.Endpoint.Value);
        }

        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10), SampleCatalog.Endpoint("chat-new")));
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(request, CancellationToken.None), outcome => outcome.Route?.Endpoint.Value == "chat-new" && outcome.IsAnswer);
        }

        await world.ApplyAsync(new());
        foreach (var dispatcher in world.Dispatchers())
        {
            await RouterCluster.EventuallyAsync(() => dispatcher.InvokeAsync(request, CancellationToken.None), outcome => outcome.Problem?.Code is ProblemCode.UnknownModel or ProblemCode.UnknownTenant);
        }
    }

    [Fact]
    public async Task A_catalog_with_problems_is_refused_whole()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        var catalog = world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key);
        var reply = await catalog.Apply(new() { IdleMargin = -1, TargetProbability = 2 });
        Assert.Equal(2, reply.Problems.Length);
        Assert.Equal(1, reply.Version);
        Assert.Single((await catalog.Get()).Models);

        var put = await catalog.PutTenant(new() { Id = new("late") });
        Assert.Equal(2, put.Version);
        Assert.Equal(3, (await catalog.Get()).Tenants.Length);
        Assert.True((await world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(new("late")), CancellationToken.None)).IsAnswer);
    }

    [Fact]
    public async Task A_stored_catalog_with_larger_windows_than_are_taken_now_is_served_and_takes_changes()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        var batch = SampleCatalog.Endpoint("chat-batch") with { Lane = Lane.Batch, MinInstances = 0, Streaming = false, WindowMaxRequests = 100_000 };
        var catalog = SampleCatalog.Create(Money.FromDollars(10));
        var model = catalog.Models[0];
        catalog = catalog with { Models = [model with { Variants = [model.Variants[0] with { Endpoints = model.Variants[0].Endpoints.Add(batch) }] }] };
        var grain = world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key);
        var storage = ((InProcessSiloHandle)world.Cluster.Primary!).ServiceProvider.GetRequiredKeyedService<IGrainStorage>(OrleansInferenceOptions.StorageName);
        await storage.WriteStateAsync("catalog", grain.GetGrainId(), new GrainState<CatalogGrainState>(new() { Catalog = catalog, Configured = "before", Version = 1, Distributed = 0 }));

        Assert.Equal("before", await grain.Configured());
        Assert.Empty((await grain.PutTenant(new() { Id = new("late") })).Problems);

        var taken = await grain.Get();
        Assert.Contains(taken.Tenants, static tenant => tenant.Id == new TenantId("late"));
        Assert.Equal(WindowLimits.MostMembers, taken.Models[0].Variants[0].Endpoints[^1].WindowMaxRequests);
        Assert.NotEmpty((await grain.Apply(catalog)).Problems);
        Assert.True((await world.Dispatchers()[0].InvokeAsync(SampleCatalog.Request(SampleCatalog.Rich), CancellationToken.None)).IsAnswer);
    }

    [Fact]
    public async Task Catalog_and_ledger_outlive_the_cluster()
    {
        await using var world = await RouterCluster.StartAsync();
        await world.ApplyAsync(SampleCatalog.Create(Money.FromDollars(10)));
        foreach (var dispatcher in world.Dispatchers())
        {
            Assert.True((await dispatcher.InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None)).IsAnswer);
        }

        // Stopping gives the leases back, with what was spent from them.
        await world.RestartAsync();
        var budget = await world.Grains.GetGrain<ITenantGrain>(SampleCatalog.Poor.Value).GetBudget();
        Assert.Equal(Money.FromDollars(0.003m), budget.SettledTotal);
        Assert.Single((await world.Grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get()).Models);
        var outcome = await world.Dispatchers()[1].InvokeAsync(SampleCatalog.Request(SampleCatalog.Poor), CancellationToken.None);
        Assert.True(outcome.IsAnswer, outcome.Problem?.Message);
    }

    [Fact]
    public async Task A_key_is_stored_once_and_revoked_for_good()
    {
        await using var world = await RouterCluster.StartAsync(silos: 1);
        var key = world.Grains.GetGrain<IKeyGrain>("OIAAAAAAAAAAAAAAAAAA");
        Assert.Null(await key.Get());
        var record = new KeyRecord { Tenant = SampleCatalog.Poor, ApiKeyHash = new byte[] { 1, 2, 3 }, EncryptedSecret = new byte[] { 4, 5 } };
        await key.Put(record);
        await key.Put(record);
        await Assert.ThrowsAsync<InvalidOperationException>(() => key.Put(record with { Tenant = SampleCatalog.Rich }));
        await world.RestartAsync(1);
        key = world.Grains.GetGrain<IKeyGrain>("OIAAAAAAAAAAAAAAAAAA");
        Assert.Equal([4, 5], (await key.Get())!.EncryptedSecret.ToArray());
        await key.Revoke();
        Assert.True((await key.Get())!.Revoked);
        await Assert.ThrowsAsync<InvalidOperationException>(() => key.Put(record));
    }
}
