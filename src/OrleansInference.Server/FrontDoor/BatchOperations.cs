using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;
using OrleansInference.Batch;

namespace OrleansInference.FrontDoor;

/// <summary>Batches in <c>/v1</c>: many records, one deadline, one bill. A tenant's key reaches its own batches only; another's do not exist for it.</summary>
internal sealed class BatchOperations(IBatches batches, Authenticator authenticator, FrontDoorOptions options)
{
    public const string JsonLines = "application/jsonlines";
    public const string Input = "input";
    private const string BatchId = "X-Inference-Batch-Id";
    private const int MaxLocationBody = 64 << 10;

    private static readonly string[] LineTypes = [JsonLines, "application/jsonl", "application/x-jsonlines", "application/x-ndjson", "application/ndjson"];

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/models/{model}/batches", static (HttpContext context, string model, BatchOperations rooms) => rooms.CreateAsync(context, model))
            .WithTags("Batches").WithName("CreateBatch").WithSummary("Makes one batch of many records: JSON lines, or the objects below a prefix.")
            .Produces<BatchAccepted>(StatusCodes.Status202Accepted);
        var group = routes.MapGroup("/v1/batches/{id}").WithTags("Batches");
        group.MapGet("", static (HttpContext context, string id, BatchOperations rooms) => rooms.GetAsync(context, id))
            .WithName("GetBatch").WithSummary("A batch as it stands; Prefer: wait=N waits up to N seconds for its end.").Produces<BatchView>();
        group.MapGet("/results", static (HttpContext context, string id, BatchOperations rooms) => rooms.GetResultsAsync(context, id))
            .WithName("GetBatchResults").WithSummary("The results that are there, as JSON lines in the order of the records; those of failed records are error lines.")
            .Produces<object>(StatusCodes.Status200OK, JsonLines);
        group.MapDelete("", static (HttpContext context, string id, BatchOperations rooms) => rooms.CancelAsync(context, id))
            .WithName("CancelBatch").WithSummary("Cancels a batch unless it has ended; what has run is kept and charged. Answers it as it then stands.").Produces<BatchView>();
    }

    private async Task CreateAsync(HttpContext context, string name)
    {
        // Line ends count too; which records are too many is said by whoever counts them.
        var most = Math.Max(2 * options.MaxBatchBytes, MaxLocationBody);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = most;
        }

        var (caller, body) = await authenticator.AuthenticateStreamAsync(context);
        if (context.Request.ContentLength > most)
        {
            throw new RefusedException(Refusal.Of(ProblemCode.PayloadTooLarge, $"The body has {context.Request.ContentLength} bytes, and a batch has at most {options.MaxBatchBytes} bytes of records; send the rest as another."));
        }

        if (!ModelName.TryParse(name, out var model))
        {
            throw new RefusedException(Refusal.Of(ProblemCode.UnknownModel, $"'{name}' is not a valid model name: it must be {NameRule.Description}."));
        }

        var http = context.Request;
        var problems = new List<string>();
        RequestHeaders.FindUnknown(http, problems);
        var request = RoutingFields.Apply(
            new() { Tenant = caller.RequireTenant(), Model = model, Delivery = Delivery.Either },
            field => http.Headers.TryGetValue(RequestHeaders.Of(field), out var sent) ? sent.ToString() : null,
            RequestHeaders.Of,
            problems);
        Refusal.Require(problems);
        var type = (http.ContentType ?? "").Split(';')[0].Trim();
        var isLines = LineTypes.Contains(type, StringComparer.OrdinalIgnoreCase);
        if (!isLines)
        {
            if (!type.Equals("application/json", StringComparison.OrdinalIgnoreCase))
            {
                throw new RefusedException(Refusal.Invalid($"Content-Type: '{type}' is no type of a batch: send JSON lines as {JsonLines}, or {{\"{Input}\":\"s3://…\"}} as application/json."));
            }

            request = request with { InputLocation = await ReadLocationAsync(body, request.Tenant, context.RequestAborted) };
        }

        var outcome = await batches.SubmitAsync(request, isLines ? body : null, context.RequestAborted);
        var response = context.Response;
        RouteHeaders.Write(response.Headers, outcome.Route, chargeIsFinal: false);
        LimitHeaders.Write(context, outcome.Limits);
        RouteHeaders.WriteReplay(response.Headers, outcome);
        if (outcome.Problem is { } problem)
        {
            await RefusalWriter.WriteAsync(context, Refusal.Of(problem));
            return;
        }

        var location = $"/v1/batches/{outcome.JobId}";
        response.StatusCode = StatusCodes.Status202Accepted;
        response.Headers.Location = location;
        response.Headers[BatchId] = outcome.JobId;
        await response.WriteAsJsonAsync(new BatchAccepted(outcome.JobId!, location), FrontDoorJson.Options, context.RequestAborted);
    }

    private async Task<string> ReadLocationAsync(Stream body, TenantId tenant, CancellationToken cancellationToken)
    {
        // One byte more than is taken, so that the end is seen: a signed body is verified there.
        var buffer = new byte[MaxLocationBody + 1];
        var read = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        string? location = null;
        try
        {
            using var json = JsonDocument.Parse(buffer.AsMemory(0, read));
            if (read <= MaxLocationBody && json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.EnumerateObject().ToList() is [{ Name: Input, Value.ValueKind: JsonValueKind.String } only])
            {
                location = only.Value.GetString();
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Said below; half of a surrogate pair is JSON and no text.
        }

        if (location is null)
        {
            throw new RefusedException(Refusal.Invalid($"A batch sent as application/json is one object with the text '{Input}' alone, such as {{\"{Input}\":\"{TenantObjects.Prefix(options.PayloadBucket, tenant)}records/\"}}; send records themselves as {JsonLines}."));
        }

        return TenantObjects.IsOwnPrefix(location, options.PayloadBucket, tenant)
            ? location
            : throw new RefusedException(Refusal.Invalid($"{Input}: '{location}' is not a prefix of this tenant's objects. Store them below {TenantObjects.Prefix(options.PayloadBucket, tenant)} and name that or a prefix below it."));
    }

    private async Task GetAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        var batch = await batches.GetAsync(tenant, id, Preferences.Wait(context.Request, options.MaxJobWait), context.RequestAborted) ?? throw Unknown(id);
        await WriteAsync(context, batch);
    }

    private async Task GetResultsAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        var page = await batches.ReadAsync(tenant, id, from: 1, context.RequestAborted) ?? throw Unknown(id);
        context.Response.ContentType = JsonLines;
        await context.Response.Body.WriteAsync(page.Lines, context.RequestAborted);
        while (page.Next is { } next)
        {
            page = await batches.ReadAsync(tenant, id, next, context.RequestAborted) ?? new();
            await context.Response.Body.WriteAsync(page.Lines, context.RequestAborted);
        }
    }

    private async Task CancelAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        await WriteAsync(context, await batches.CancelAsync(tenant, id, context.RequestAborted) ?? throw Unknown(id));
    }

    private static Task WriteAsync(HttpContext context, BatchView batch)
    {
        RouteHeaders.Write(context.Response.Headers, batch.Route, chargeIsFinal: batch.EndedAt is not null);
        context.Response.Headers[BatchId] = batch.BatchId;
        return context.Response.WriteAsJsonAsync(batch, FrontDoorJson.Options, context.RequestAborted);
    }

    private static RefusedException Unknown(string id) => new(Refusal.NotFound($"There is no batch '{(id.Length > 128 ? id[..128] : id)}' of this tenant: check the id; ended batches are kept for a limited time."));
}

/// <summary>Records that became a batch.</summary>
/// <param name="BatchId">Its id.</param>
/// <param name="Location">Where to look after it.</param>
internal sealed record BatchAccepted(string BatchId, string Location);
