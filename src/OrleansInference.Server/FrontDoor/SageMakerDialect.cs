using System.IO.Pipelines;
using System.Text.Json;
using OrleansInference.Aws.EventStreams;
using OrleansInference.Dispatch;
using OrleansInference.Invocation;
using OrleansInference.Jobs;

namespace OrleansInference.FrontDoor;

/// <summary>SageMaker Runtime's three operations. The endpoint's name is a model's name.</summary>
internal sealed class SageMakerDialect(IDispatcher dispatcher, IJobs jobs, Authenticator authenticator, FrontDoorOptions options, TimeProvider time)
{
    private const string Invoked = "x-Amzn-Invoked-Production-Variant";
    private static readonly TimeSpan LocationPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LocationPoll = TimeSpan.FromMilliseconds(20);

    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/endpoints/{name}").ExcludeFromDescription();
        group.MapPost("/invocations", static (HttpContext context, string name, SageMakerDialect dialect) => dialect.InvokeAsync(context, name));
        group.MapPost("/invocations-response-stream", static (HttpContext context, string name, SageMakerDialect dialect) => dialect.InvokeStreamAsync(context, name));
        group.MapPost("/async-invocations", static (HttpContext context, string name, SageMakerDialect dialect) => dialect.InvokeAsynchronouslyAsync(context, name));
    }

    private async Task InvokeAsync(HttpContext context, string name)
    {
        var (caller, body) = await authenticator.AuthenticateAsync(context, FrontDoorOptions.SageMakerBodyBytes);
        var model = SageMakerRequests.Model(name);
        var request = SageMakerRequests.Invoke(context.Request, model, caller.RequireTenant(), body, streaming: false);
        var outcome = await dispatcher.InvokeAsync(request, context.RequestAborted);
        var response = context.Response;
        RouteHeaders.Write(response.Headers, outcome.Route, chargeIsFinal: true);
        LimitHeaders.Write(context, outcome.Limits);
        RouteHeaders.WriteReplay(response.Headers, outcome);
        if (outcome.Problem is { } problem)
        {
            await RefusalWriter.WriteAsync(context, SageMakerRequests.Translate(problem, model));
            return;
        }

        response.ContentType = outcome.ContentType ?? "application/octet-stream";
        response.ContentLength = outcome.Body.Length;
        Answered(response.Headers, outcome.InvokedProductionVariant, outcome.CustomAttributes, outcome.Route, chargeIsFinal: true);
        await response.Body.WriteAsync(outcome.Body, context.RequestAborted);
    }

    private async Task InvokeStreamAsync(HttpContext context, string name)
    {
        var (caller, body) = await authenticator.AuthenticateAsync(context, FrontDoorOptions.SageMakerBodyBytes);
        var model = SageMakerRequests.Model(name);
        var request = SageMakerRequests.Invoke(context.Request, model, caller.RequireTenant(), body, streaming: true);
        await using var answer = await dispatcher.InvokeStreamAsync(request, context.RequestAborted);
        var response = context.Response;
        RouteHeaders.Write(response.Headers, answer.Route, chargeIsFinal: false);
        LimitHeaders.Write(context, answer.Limits);
        if (answer.Stream is not { } stream)
        {
            await RefusalWriter.WriteAsync(context, SageMakerRequests.Translate(answer.Problem!, model));
            return;
        }

        response.ContentType = EventStreamMessage.StreamContentType;
        response.Headers["X-Amzn-SageMaker-Content-Type"] = stream.ContentType;
        Answered(response.Headers, stream.InvokedProductionVariant, stream.CustomAttributes, answer.Route, chargeIsFinal: false);
        await WriteEventsAsync(response.BodyWriter, stream, context.RequestAborted);
    }

    private static async Task WriteEventsAsync(PipeWriter writer, IModelStream stream, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var part in stream.ReadPartsAsync(cancellationToken))
            {
                EventStreamWriter.WriteEvent(writer, "PayloadPart", part.Span);
                await writer.FlushAsync(cancellationToken);
            }
        }
        catch (ModelCallException exception)
        {
            // The status is out: in an event stream an error is its last event.
            var byModel = exception.Failure == ModelCallFailure.Model;
            var payload = byModel
                ? JsonSerializer.SerializeToUtf8Bytes(new { exception.Message, ErrorCode = "ModelStreamBroken" })
                : JsonSerializer.SerializeToUtf8Bytes(new { exception.Message });
            EventStreamWriter.WriteException(writer, byModel ? "ModelStreamError" : "InternalStreamFailure", payload);
            await writer.FlushAsync(cancellationToken);
        }
    }

    private async Task InvokeAsynchronouslyAsync(HttpContext context, string name)
    {
        var (caller, _) = await authenticator.AuthenticateAsync(context, FrontDoorOptions.SageMakerBodyBytes);
        var model = SageMakerRequests.Model(name);
        var tenant = caller.RequireTenant();
        var request = SageMakerRequests.InvokeAsync(context.Request, model, tenant, options.PayloadBucket);
        var outcome = await dispatcher.SubmitAsync(request, context.RequestAborted);
        var response = context.Response;
        RouteHeaders.Write(response.Headers, outcome.Route, chargeIsFinal: false);
        LimitHeaders.Write(context, outcome.Limits);
        RouteHeaders.WriteReplay(response.Headers, outcome);
        if (outcome.Problem is { } problem)
        {
            await RefusalWriter.WriteAsync(context, SageMakerRequests.Translate(problem, model));
            return;
        }

        var jobId = outcome.JobId!;
        var (output, failure) = await LocationsAsync(tenant, jobId, outcome.Route?.Lane, context.RequestAborted);
        response.StatusCode = StatusCodes.Status202Accepted;
        response.Headers[RouteHeaders.JobId] = jobId;
        Set(response.Headers, "X-Amzn-SageMaker-OutputLocation", output);
        Set(response.Headers, "X-Amzn-SageMaker-FailureLocation", failure);
        await response.WriteAsJsonAsync(new { InferenceId = request.InferenceId ?? jobId }, JsonSerializerOptions.Default, "application/json", context.RequestAborted);
    }

    /// <summary>
    /// Where the job's answer will be. A batch window's members know it at once; the async lane learns it from SageMaker, moments after
    /// the job was accepted. If that takes long the caller has the job's id all the same.
    /// </summary>
    private async Task<(string? Output, string? Failure)> LocationsAsync(TenantId tenant, string jobId, Lane? lane, CancellationToken cancellationToken)
    {
        if (lane == Lane.Batch)
        {
            return ($"s3://{options.PayloadBucket}/{new JobAddress(tenant, jobId).OutputKey}", null);
        }

        var start = time.GetTimestamp();
        while (true)
        {
            var job = await jobs.GetAsync(tenant, jobId, TimeSpan.Zero, cancellationToken);
            if (job is null || job.State >= JobState.Succeeded || job.ExpectedOutputLocation is not null || time.GetElapsedTime(start) > LocationPatience)
            {
                return (job?.OutputLocation ?? job?.ExpectedOutputLocation, job?.FailureLocation);
            }

            await Task.Delay(LocationPoll, time, cancellationToken);
        }
    }

    private static void Answered(IHeaderDictionary headers, string? variant, string? model, RouteTaken? route, bool chargeIsFinal)
    {
        Set(headers, Invoked, variant ?? route?.Variant.Value);
        if (route is not null)
        {
            headers[CustomAttributes.Header] = CustomAttributes.Answer(model, route, chargeIsFinal);
        }
    }

    private static void Set(IHeaderDictionary headers, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value) && CustomAttributes.IsValid(value))
        {
            headers[name] = value;
        }
    }
}
