using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using OrleansInference.Hosting;
using OrleansInference.Pricing;

namespace OrleansInference.Catalog;

/// <summary>What the catalog's grain stores.</summary>
public sealed record CatalogGrainState
{
    /// <summary>The catalog in force.</summary>
    public CatalogDefinition Catalog { get; init; } = new();

    /// <summary>Fingerprint of the catalog that a server was configured with last.</summary>
    public string Configured { get; init; } = "";

    /// <summary>Counts up with every change.</summary>
    public long Version { get; init; }

    /// <summary>The version that every grain concerned has been told of.</summary>
    public long Distributed { get; init; }

    /// <summary>What was taken out and may not have been told yet.</summary>
    public ImmutableArray<ModelName> RemovedModels { get; init; } = [];

    /// <summary>Endpoints that were taken out, as they last were configured.</summary>
    public ImmutableArray<EndpointConfiguration> RemovedEndpoints { get; init; } = [];

    /// <summary>Tenants that were taken out.</summary>
    public ImmutableArray<TenantId> RemovedTenants { get; init; } = [];
}

/// <summary>
/// What exists. A change is checked, made durable, then told to the grains concerned; if this grain dies in between, its
/// reminder brings it back and it tells them again.
/// </summary>
internal sealed partial class CatalogGrain(
    [PersistentState("catalog", OrleansInferenceOptions.StorageName)] IPersistentState<CatalogGrainState> storage,
    ILogger<CatalogGrain> logger) : Grain, ICatalogGrain, IRemindable
{
    private const string Distribution = "distribute";
    private static readonly TimeSpan RepairPeriod = TimeSpan.FromMinutes(1);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        storage.State = storage.State with { Catalog = StoredCatalog.AsTaken(storage.State.Catalog) };
        if (storage.State.Distributed < storage.State.Version)
        {
            this.RegisterGrainTimer(DistributeAsync, new GrainTimerCreationOptions(TimeSpan.Zero, Timeout.InfiniteTimeSpan));
        }

        return Task.CompletedTask;
    }

    public Task<CatalogReply> Apply(CatalogDefinition catalog) => ApplyAsync(catalog, storage.State.Configured);

    public async Task<CatalogReply> Configure(CatalogDefinition catalog, string fingerprint)
    {
        ArgumentException.ThrowIfNullOrEmpty(fingerprint);
        return fingerprint == storage.State.Configured ? new() { Version = storage.State.Version } : await ApplyAsync(catalog, fingerprint);
    }

    public Task<string> Configured() => Task.FromResult(storage.State.Configured);

    public async Task<CatalogReply> PutTenant(TenantDefinition tenant)
    {
        ArgumentNullException.ThrowIfNull(tenant);
        var catalog = storage.State.Catalog;
        var index = catalog.Tenants.IndexOf(tenant, EqualityComparer<TenantDefinition>.Create((left, right) => left?.Id == right?.Id));
        var tenants = index < 0 ? catalog.Tenants.Add(tenant) : catalog.Tenants.SetItem(index, tenant);
        return await Apply(catalog with { Tenants = tenants });
    }

    public Task<CatalogDefinition> Get() => Task.FromResult(storage.State.Catalog);

    public Task ReceiveReminder(string reminderName, TickStatus status) => DistributeAsync();

    private async Task<CatalogReply> ApplyAsync(CatalogDefinition catalog, string configured)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var problems = CatalogValidation.Validate(catalog);
        if (!problems.IsEmpty)
        {
            return new() { Version = storage.State.Version, Problems = problems };
        }

        await PutInForceAsync(catalog, configured);
        return new() { Version = storage.State.Version };
    }

    private async Task PutInForceAsync(CatalogDefinition catalog, string configured)
    {
        await this.RegisterOrUpdateReminder(Distribution, RepairPeriod, RepairPeriod);
        var before = storage.State;
        var models = catalog.Models.Select(model => model.Name).ToHashSet();
        var endpoints = CatalogPricing.ResolveEndpoints(catalog).Select(configuration => configuration.Endpoint.Name).ToHashSet();
        var tenants = catalog.Tenants.Select(tenant => tenant.Id).ToHashSet();
        storage.State = new()
        {
            Catalog = catalog,
            Configured = configured,
            Version = before.Version + 1,
            Distributed = before.Distributed,
            RemovedModels = [.. before.RemovedModels.Union(before.Catalog.Models.Select(model => model.Name)).Where(name => !models.Contains(name))],
            RemovedEndpoints = [.. before.RemovedEndpoints.UnionBy(CatalogPricing.ResolveEndpoints(before.Catalog), configuration => configuration.Endpoint.Name).Where(configuration => !endpoints.Contains(configuration.Endpoint.Name))],
            RemovedTenants = [.. before.RemovedTenants.Union(before.Catalog.Tenants.Select(tenant => tenant.Id)).Where(id => !tenants.Contains(id))],
        };
        await WriteAsync();
        LogInForce(storage.State.Version, catalog.Models.Length, catalog.Tenants.Length);
        await DistributeAsync();
    }

    private async Task DistributeAsync()
    {
        var state = storage.State;
        if (state.Distributed < state.Version)
        {
            // Endpoints first: a snapshot that names one should find it ready.
            await Task.WhenAll(
                [.. CatalogPricing.ResolveEndpoints(state.Catalog).Select(configuration => GrainFactory.GetGrain<IEndpointGrain>(configuration.Endpoint.Name.Value).Configure(configuration)),
                .. state.Catalog.Tenants.Select(tenant => GrainFactory.GetGrain<ITenantGrain>(tenant.Id.Value).Configure(tenant)),
                .. state.RemovedTenants.Select(id => GrainFactory.GetGrain<ITenantGrain>(id.Value).Remove())]);
            await Task.WhenAll(
                [.. CatalogPricing.Resolve(state.Catalog).Select(configuration => GrainFactory.GetGrain<IModelGrain>(configuration.Model!.Name.Value).Configure(configuration)),
                .. state.RemovedModels.Select(name => GrainFactory.GetGrain<IModelGrain>(name.Value).Configure(new()))]);
            await Task.WhenAll(state.RemovedEndpoints.Select(configuration => GrainFactory.GetGrain<IEndpointGrain>(configuration.Endpoint.Name.Value).Configure(Drained(configuration))));
            storage.State = state with { Distributed = state.Version, RemovedModels = [], RemovedEndpoints = [], RemovedTenants = [] };
            await WriteAsync();
        }

        if (await this.GetReminder(Distribution) is { } reminder)
        {
            await this.UnregisterReminder(reminder);
        }
    }

    // Calls under way end, and the instances are left to the operator.
    private static EndpointConfiguration Drained(EndpointConfiguration configuration) =>
        configuration with { Endpoint = configuration.Endpoint with { Draining = true } };

    private async Task WriteAsync()
    {
        try
        {
            await storage.WriteStateAsync();
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Catalog version {Version} is in force: {Models} models, {Tenants} tenants.")]
    private partial void LogInForce(long version, int models, int tenants);
}
