using OrleansInference.Dispatch;

namespace OrleansInference.FrontDoor;

/// <summary>Invoking, streaming and explaining in <c>/v1</c>.</summary>
internal sealed class Invocations(IDispatcher dispatcher, Authenticator authenticator, FrontDoorOptions options)
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/v1/models/{model}").WithTags("Invocations");
        group.MapPost("/invocations", static (HttpContext context, string model, Invocations rooms) => rooms.InvokeAsync(context, model))
            .WithName("Invoke").WithSummary("Asks a model for a prediction by the cheapest route that meets the deadline.")
            .Produces<object>(StatusCodes.Status200OK, "application/json").Produces<JobAccepted>(StatusCodes.Status202Accepted);
        group.MapPost("/invocations-response-stream", static (HttpContext context, string model, Invocations rooms) => rooms.InvokeStreamAsync(context, model))
            .WithName("InvokeStream").WithSummary("Asks a model for a prediction and streams its answer as it is made.")
            .Produces<object>(StatusCodes.Status200OK, "application/octet-stream");
        group.MapPost("/route", static (HttpContext context, string model, Invocations rooms) => rooms.ExplainAsync(context, model))
            .WithName("ExplainRoute").WithSummary("Decides a request without running it, and says why each candidate was chosen or lost.")
            .Produces<Explanation>();
    }

    private async Task InvokeAsync(HttpContext context, string model)
    {
        var request = await ReadAsync(context, model);
        var outcome = await dispatcher.InvokeAsync(request, context.RequestAborted);
        var response = context.Response;
        RouteHeaders.Write(response.Headers, outcome.Route, chargeIsFinal: outcome.JobId is null);
        LimitHeaders.Write(context, outcome.Limits);
        RouteHeaders.WriteReplay(response.Headers, outcome);
        if (outcome.Problem is { } problem)
        {
            await RefusalWriter.WriteAsync(context, Refusal.Of(problem));
        }
        else if (outcome.JobId is { } jobId)
        {
            response.StatusCode = StatusCodes.Status202Accepted;
            response.Headers.Location = $"/v1/jobs/{jobId}";
            response.Headers[RouteHeaders.JobId] = jobId;
            response.Headers["Preference-Applied"] = "respond-async";
            await response.WriteAsJsonAsync(new JobAccepted(jobId, $"/v1/jobs/{jobId}"), FrontDoorJson.Options, context.RequestAborted);
        }
        else
        {
            response.ContentType = outcome.ContentType ?? "application/octet-stream";
            response.ContentLength = outcome.Body.Length;
            await response.Body.WriteAsync(outcome.Body, context.RequestAborted);
        }
    }

    private async Task InvokeStreamAsync(HttpContext context, string model)
    {
        var request = await ReadAsync(context, model);
        await using var answer = await dispatcher.InvokeStreamAsync(request with { Delivery = Delivery.Inline }, context.RequestAborted);

        // The charge is known when the stream has ended, too late for a header; the cap is known now.
        RouteHeaders.Write(context.Response.Headers, answer.Route, chargeIsFinal: false);
        LimitHeaders.Write(context, answer.Limits);
        if (answer.Stream is not { } stream)
        {
            await RefusalWriter.WriteAsync(context, Refusal.Of(answer.Problem!));
            return;
        }

        context.Response.ContentType = stream.ContentType ?? "application/octet-stream";
        await foreach (var part in stream.ReadPartsAsync(context.RequestAborted))
        {
            await context.Response.Body.WriteAsync(part, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }

    private async Task ExplainAsync(HttpContext context, string model)
    {
        var request = await ReadAsync(context, model);
        var answer = await dispatcher.ExplainAsync(request, context.RequestAborted);
        if (answer.Explanation is { } explanation)
        {
            await context.Response.WriteAsJsonAsync(explanation, FrontDoorJson.Options, context.RequestAborted);
        }
        else
        {
            await RefusalWriter.WriteAsync(context, Refusal.Of(answer.Problem!));
        }
    }

    private async Task<InferenceRequest> ReadAsync(HttpContext context, string name)
    {
        var (caller, body) = await authenticator.AuthenticateAsync(context, options.MaxBodyBytes);
        if (!ModelName.TryParse(name, out var model))
        {
            throw new RefusedException(Refusal.Of(ProblemCode.UnknownModel, $"'{name}' is not a valid model name: it must be {NameRule.Description}."));
        }

        var http = context.Request;
        var problems = new List<string>();
        RequestHeaders.FindUnknown(http, problems);
        var attributes = Single(http, CustomAttributes.Header);
        if (attributes is not null && !CustomAttributes.IsValid(attributes))
        {
            problems.Add($"{CustomAttributes.Header}: at most {CustomAttributes.MaxLength} printable ASCII characters are allowed.");
        }

        var request = new InferenceRequest
        {
            Tenant = caller.RequireTenant(),
            Model = model,
            Body = body,
            ContentType = string.IsNullOrEmpty(http.ContentType) ? "application/json" : http.ContentType,
            Accept = Single(http, "Accept"),
            CustomAttributes = attributes,
            InferenceId = Single(http, RequestHeaders.InferenceId),
            Delivery = Preferences.RespondAsync(http) ? Delivery.Either : Delivery.Inline,
        };
        request = RoutingFields.Apply(request, field => http.Headers.TryGetValue(RequestHeaders.Of(field), out var sent) ? sent.ToString() : null, RequestHeaders.Of, problems);
        Refusal.Require(problems);
        return request;
    }

    private static string? Single(HttpRequest request, string name) => request.Headers[name].ToString() is { Length: > 0 } value ? value : null;
}

/// <summary>A request that became a job.</summary>
/// <param name="JobId">Its id.</param>
/// <param name="Location">Where to look after it.</param>
internal sealed record JobAccepted(string JobId, string Location);
