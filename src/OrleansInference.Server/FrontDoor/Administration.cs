using System.Text.Json;
using OrleansInference.Audit;
using OrleansInference.Configuration;
using OrleansInference.Keys;
using OrleansInference.Pricing;
using OrleansInference.Webhooks;

namespace OrleansInference.FrontDoor;

/// <summary>What the operator does in <c>/v1/admin</c>, with the admin key.</summary>
internal sealed class Administration(IGrainFactory grains, CatalogDesk catalogs, KeyDirectory keys, WebhookSecrets webhooks, SqliteAuditLog audit, Authenticator authenticator)
{
    private const long MaxDefinitionBytes = 8 << 20;

    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/v1/admin").WithTags("Administration");
        group.MapGet("/catalog", static (HttpContext context, Administration rooms) => rooms.GetCatalogAsync(context))
            .WithName("GetCatalog").WithSummary("The catalog in force.").Produces<CatalogDefinition>();
        group.MapPut("/catalog", static (HttpContext context, Administration rooms) => rooms.PutCatalogAsync(context))
            .WithName("PutCatalog").WithSummary("Checks a whole catalog and puts it in force, or names every problem.").Accepts<CatalogDefinition>("application/json").Produces<CatalogReply>();
        group.MapPut("/tenants/{id}", static (HttpContext context, string id, Administration rooms) => rooms.PutTenantAsync(context, id))
            .WithName("PutTenant").WithSummary("Adds or changes a tenant.").Accepts<TenantDefinition>("application/json").Produces<CatalogReply>();
        group.MapPost("/tenants/{id}/keys", static (HttpContext context, string id, Administration rooms) => rooms.IssueKeyAsync(context, id))
            .WithName("IssueKey").WithSummary("Issues a key pair and an API key; they are shown this once.").Produces<IssuedKey>(StatusCodes.Status201Created);
        group.MapDelete("/keys/{accessKeyId}", static (HttpContext context, string accessKeyId, Administration rooms) => rooms.RevokeKeyAsync(context, accessKeyId))
            .WithName("RevokeKey").WithSummary("Makes a key useless.").Produces(StatusCodes.Status204NoContent);
        group.MapPost("/tenants/{id}/webhook-secret", static (HttpContext context, string id, Administration rooms) => rooms.RotateWebhookSecretAsync(context, id))
            .WithName("RotateWebhookSecret").WithSummary("Makes the secret under which the tenant's webhooks are signed; it is shown this once. The one before stays good for ?overlap=24h beside it.")
            .Produces<IssuedWebhookSecret>(StatusCodes.Status201Created);
        group.MapDelete("/tenants/{id}/webhook-secret", static (HttpContext context, string id, Administration rooms) => rooms.RemoveWebhookSecretAsync(context, id))
            .WithName("RemoveWebhookSecret").WithSummary("Takes the tenant's webhook secrets away: none of its webhooks is called any more.").Produces(StatusCodes.Status204NoContent);
        group.MapGet("/audit/summary", static (HttpContext context, Administration rooms) => rooms.GetAuditSummaryAsync(context))
            .WithName("GetAuditSummary").WithSummary("Records and charges of the audit log by tenant, everything appended so far included.").Produces<AuditSummary>();
    }

    private async Task GetCatalogAsync(HttpContext context)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        await WriteAsync(context, await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get());
    }

    private async Task PutCatalogAsync(HttpContext context)
    {
        var catalog = await ReadAsync<CatalogDefinition>(context, static body => CatalogFile.Problems("body", body, static rest => CatalogValidation.Validate(rest)));
        if (catalog.Models.IsDefaultOrEmpty)
        {
            throw new RefusedException(Refusal.Invalid("models: the catalog names none, so it would take every model and tenant away. Send the whole catalog; GET it first to change a part."));
        }

        if (catalog.Tenants.IsDefaultOrEmpty && !(await grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key).Get()).Tenants.IsDefaultOrEmpty)
        {
            throw new RefusedException(Refusal.Invalid("tenants: the catalog names none, so it would take every tenant away. Send the whole catalog; GET it first to change a part."));
        }

        await WriteAsync(context, Accepted(await catalogs.ApplyAsync(catalog, context.RequestAborted)));
    }

    private async Task PutTenantAsync(HttpContext context, string id)
    {
        var tenant = await ReadAsync<TenantDefinition>(context, ProblemsOfTenant);
        if (tenant.Id.Value != id)
        {
            throw new RefusedException(Refusal.Invalid($"id: the body names tenant '{tenant.Id}', the path '{id}'; they must be the same."));
        }

        var catalog = grains.GetGrain<ICatalogGrain>(ICatalogGrain.Key);
        var reply = await catalog.PutTenant(tenant);
        if (!reply.Problems.IsDefaultOrEmpty)
        {
            // The whole catalog was checked with this tenant in its place; the caller sent the tenant alone.
            var tenants = (await catalog.Get()).Tenants;
            var known = tenants.Select(static other => other.Id).ToList().IndexOf(tenant.Id);
            var prefix = $"tenants[{(known < 0 ? tenants.Length : known)}].";
            reply = reply with { Problems = [.. reply.Problems.Select(problem => problem.StartsWith(prefix, StringComparison.Ordinal) ? problem[prefix.Length..] : problem)] };
        }

        await WriteAsync(context, Accepted(reply));
    }

    private async Task IssueKeyAsync(HttpContext context, string id)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        var tenant = await Views.RequireTenantAsync(grains, id);
        context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.Headers.CacheControl = "no-store";
        await WriteAsync(context, await keys.IssueAsync(tenant));
    }

    private async Task RevokeKeyAsync(HttpContext context, string accessKeyId)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        if (!await keys.RevokeAsync(accessKeyId))
        {
            throw new RefusedException(Refusal.NotFound($"There is no access key '{accessKeyId}'."));
        }

        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task RotateWebhookSecretAsync(HttpContext context, string id)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        var tenant = await Views.RequireTenantAsync(grains, id);
        var overlap = WebhookSecrets.DefaultOverlap;
        if (context.Request.Query["overlap"].ToString() is { Length: > 0 } text && text != "0" && !(DurationText.TryParse(text, out overlap) && overlap <= WebhookSecrets.LongestOverlap))
        {
            throw new RefusedException(Refusal.Invalid($"overlap: '{(text.Length > 64 ? text[..64] : text)}' is not 0 or a span of at most {WebhookSecrets.LongestOverlap.TotalDays:0} days: {DurationText.Description}."));
        }

        var secret = await webhooks.RotateAsync(tenant, context.Request.Query["overlap"].ToString() == "0" ? TimeSpan.Zero : overlap);
        context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.Headers.CacheControl = "no-store";
        await WriteAsync(context, secret);
    }

    private async Task RemoveWebhookSecretAsync(HttpContext context, string id)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        await webhooks.RemoveAsync(await Views.RequireTenantAsync(grains, id));
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private async Task GetAuditSummaryAsync(HttpContext context)
    {
        (await authenticator.AuthenticateAsync(context)).RequireAdmin();
        await audit.FlushAsync(context.RequestAborted);
        await WriteAsync(context, await audit.SummariseAsync(context.RequestAborted));
    }

    /// <summary>What is wrong with the form of a tenant: it is looked at as the only one of a catalog.</summary>
    private static IEnumerable<string> ProblemsOfTenant(byte[] body)
    {
        const string at = "tenants[0]";
        byte[] catalog = [.. "{\"tenants\":["u8, .. body, .. "],\"models\":[]}"u8];
        return CatalogFile.Problems("body", catalog, static _ => []).Select(static problem => problem.Replace(at + ".", "", StringComparison.Ordinal).Replace(at, "the tenant", StringComparison.Ordinal));
    }

    private async Task<T> ReadAsync<T>(HttpContext context, Func<byte[], IEnumerable<string>> problemsOf)
    {
        var (caller, body) = await authenticator.AuthenticateAsync(context, MaxDefinitionBytes);
        caller.RequireAdmin();
        RequestHeaders.RequireKnown(context.Request);
        try
        {
            return JsonSerializer.Deserialize<T>(body.Span, CatalogFile.Json) ?? throw new RefusedException(Refusal.Invalid("The body is null; it must be an object."));
        }
        catch (JsonException)
        {
            throw new RefusedException(Refusal.Invalid(string.Join(Environment.NewLine, problemsOf(body.ToArray()))));
        }
    }

    private static CatalogReply Accepted(CatalogReply reply) => reply.Problems.IsDefaultOrEmpty
        ? reply
        : throw new RefusedException(Refusal.Invalid(string.Join(Environment.NewLine, reply.Problems)));

    private static Task WriteAsync<T>(HttpContext context, T value) => context.Response.WriteAsJsonAsync(value, FrontDoorJson.Options, context.RequestAborted);
}
