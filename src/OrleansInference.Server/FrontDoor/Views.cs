using System.Collections.Immutable;
using OrleansInference.Dispatch;

namespace OrleansInference.FrontDoor;

/// <summary>What can be looked at in <c>/v1</c>. A tenant's key sees itself and what it may use; figures across tenants take the admin key.</summary>
internal sealed class Views(IDispatcher dispatcher, IGrainFactory grains, Authenticator authenticator)
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/v1").WithTags("Views");
        group.MapGet("/models", static (HttpContext context, Views rooms) => rooms.GetModelsAsync(context))
            .WithName("ListModels").WithSummary("The models that the caller may use.").Produces<ImmutableArray<ModelSummary>>();
        group.MapGet("/models/{model}/statistics", static (HttpContext context, string model, Views rooms) => rooms.GetModelStatisticsAsync(context, model))
            .WithName("GetModelStatistics").WithSummary("Measured latency by endpoint and phase; with the admin key also capacity.").Produces<ModelStatistics>();
        group.MapGet("/decisions/{id}", static (HttpContext context, string id, Views rooms) => rooms.GetDecisionAsync(context, id))
            .WithName("GetDecision").WithSummary("Why a request of the caller took its route, while the decision is in the log.").Produces<Explanation>();
        group.MapGet("/endpoints/{name}", static (HttpContext context, string name, Views rooms) => rooms.GetEndpointAsync(context, name))
            .WithName("GetEndpoint").WithSummary("An endpoint's capacity and cost, with the admin key.").Produces<EndpointView>();
        group.MapGet("/tenants/{id}/budget", static (HttpContext context, string id, Views rooms) => rooms.GetBudgetAsync(context, id))
            .WithName("GetBudget").WithSummary("A tenant's budget as it stands.").Produces<BudgetView>();
        group.MapGet("/statistics", static (HttpContext context, Views rooms) => rooms.GetStatisticsAsync(context))
            .WithName("GetStatistics").WithSummary("What this silo has routed since it started, with the admin key.").Produces<DispatchStatistics>();
    }

    private async Task GetModelsAsync(HttpContext context)
    {
        var caller = await authenticator.AuthenticateAsync(context);
        var catalog = await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get();
        var allowed = await AllowedAsync(caller);
        await WriteAsync(context, catalog.Models.Where(m => allowed(m.Name)).Select(ModelSummary.Of).ToImmutableArray());
    }

    private async Task GetModelStatisticsAsync(HttpContext context, string name)
    {
        var caller = await authenticator.AuthenticateAsync(context);
        var allowed = await AllowedAsync(caller);
        var statistics = ModelName.TryParse(name, out var model) && allowed(model) ? await grains.GetGrain<IModelGrain>(name).GetStatistics() : null;
        if (statistics is null)
        {
            throw new RefusedException(Refusal.Of(ProblemCode.UnknownModel, $"There is no model '{name}' that this key may use: GET /v1/models lists them."));
        }

        await WriteAsync(context, caller.IsAdmin ? statistics : statistics with { Endpoints = [] });
    }

    private async Task GetDecisionAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        await WriteAsync(context, dispatcher.GetDecision(tenant, id)
            ?? throw new RefusedException(Refusal.NotFound($"There is no decision '{id}' of this tenant in the log of this silo: it keeps the latest for a limited time.")));
    }

    private async Task GetEndpointAsync(HttpContext context, string name)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        var view = EndpointName.TryParse(name, out _) ? await grains.GetGrain<IEndpointGrain>(name).GetView() : null;
        await WriteAsync(context, view ?? throw new RefusedException(Refusal.NotFound(await SharedOfAsync(name) is { } shared
            ? $"Endpoint '{name}' has no instances of its own: GET /v1/endpoints/{shared} shows those that it shares."
            : $"There is no endpoint '{name}': GET /v1/admin/catalog lists them.")));
    }

    private async Task<EndpointName?> SharedOfAsync(string name)
    {
        var catalog = await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get();
        return catalog.Models.SelectMany(static model => model.Variants).SelectMany(static variant => variant.Endpoints).FirstOrDefault(endpoint => endpoint.Name.Value == name)?.Shared;
    }

    private async Task GetBudgetAsync(HttpContext context, string id)
    {
        var caller = await authenticator.AuthenticateAsync(context);
        if (!caller.IsAdmin && caller.Tenant?.Value != id)
        {
            throw new RefusedException(Refusal.Forbidden($"This key is of tenant {caller.Tenant} and sees that tenant's budget only."));
        }

        await RequireTenantAsync(grains, id);
        await WriteAsync(context, await grains.GetGrain<ITenantGrain>(id).GetBudget());
    }

    private async Task GetStatisticsAsync(HttpContext context)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        await WriteAsync(context, dispatcher.GetStatistics());
    }

    /// <summary>Refused unless there is such a tenant.</summary>
    internal static async Task<TenantId> RequireTenantAsync(IGrainFactory grains, string id) =>
        TenantId.TryParse(id, out var tenant) && await grains.GetGrain<ITenantGrain>(id).GetDefinition() is not null
            ? tenant
            : throw new RefusedException(Refusal.NotFound($"There is no tenant '{id}': create it with PUT /v1/admin/tenants/{{id}}."));

    private async Task<Func<ModelName, bool>> AllowedAsync(Caller caller)
    {
        if (caller.Tenant is not { } tenant)
        {
            return static _ => true;
        }

        var definition = await grains.GetGrain<ITenantGrain>(tenant.Value).GetDefinition();
        return definition is null ? static _ => false : model => definition.Models.IsDefaultOrEmpty || definition.Models.Contains(model);
    }

    private static Task WriteAsync<T>(HttpContext context, T value) => context.Response.WriteAsJsonAsync(value, FrontDoorJson.Options, context.RequestAborted);
}

/// <summary>A model on offer.</summary>
/// <param name="Name">Its name.</param>
/// <param name="MaxOutputTokens">Most output tokens of one answer.</param>
/// <param name="Variants">Its builds.</param>
internal sealed record ModelSummary(ModelName Name, int MaxOutputTokens, ImmutableArray<VariantSummary> Variants)
{
    public static ModelSummary Of(ModelDefinition model) => new(
        model.Name,
        model.MaxOutputTokens,
        [.. model.Variants.Select(v => new VariantSummary(v.Name, v.Quality, [.. v.Endpoints.Select(e => new LaneSummary(e.Name, e.Lane, e.Streaming, e.MaxPayloadBytes))]))]);
}

/// <summary>One build of a model on offer.</summary>
internal sealed record VariantSummary(VariantName Name, double Quality, ImmutableArray<LaneSummary> Endpoints);

/// <summary>One endpoint of a model on offer.</summary>
internal sealed record LaneSummary(EndpointName Name, Lane Lane, bool Streaming, long MaxPayloadBytes);
