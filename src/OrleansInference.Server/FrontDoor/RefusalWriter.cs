using System.Globalization;
using System.Text.Json;
using OrleansInference.Hosting;
using OrleansInference.Telemetry;

namespace OrleansInference.FrontDoor;

/// <summary>Writes refusals: problem details (RFC 9457) in <c>/v1</c>, SageMaker's error form below <c>/endpoints</c>.</summary>
internal static class RefusalWriter
{
    public static bool SpeaksSageMaker(HttpRequest request) => request.Path.StartsWithSegments("/endpoints", StringComparison.Ordinal);

    public static async Task WriteAsync(HttpContext context, Refusal refusal)
    {
        var response = context.Response;
        var sageMaker = SpeaksSageMaker(context.Request);
        response.StatusCode = sageMaker ? refusal.Kind.SageMakerStatus : refusal.Kind.Status;
        if (!Readiness.IsProbe(context.Request))
        {
            RouterTelemetry.Refused(response.StatusCode, refusal.Code);
        }

        var retryAfter = OnTheWall(context, refusal.RetryAfter);
        if (retryAfter is { } wait)
        {
            response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString("0", CultureInfo.InvariantCulture);
        }

        if (refusal.DecisionId is { } decision)
        {
            response.Headers[RouteHeaders.DecisionId] = decision;
        }

        if (sageMaker)
        {
            response.Headers["x-amzn-ErrorType"] = refusal.Kind.SageMakerType;
            response.ContentType = "application/json";
        }
        else
        {
            if (response.StatusCode == StatusCodes.Status401Unauthorized)
            {
                response.Headers.WWWAuthenticate = "Bearer";
            }

            response.ContentType = "application/problem+json";
        }

        using var body = new MemoryStream();
        using (var writer = new Utf8JsonWriter(body, new() { Encoder = FrontDoorJson.Options.Encoder }))
        {
            writer.WriteStartObject();
            if (sageMaker)
            {
                WriteSageMaker(writer, refusal);
            }
            else
            {
                WriteDetails(writer, context, refusal, retryAfter);
            }

            writer.WriteEndObject();
        }

        response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await response.Body.WriteAsync(body.GetBuffer().AsMemory(0, (int)body.Length), context.RequestAborted);
        }
    }

    // The router's clock may run faster than that of the caller, who waits on the wall.
    private static TimeSpan? OnTheWall(HttpContext context, TimeSpan? retryAfter) =>
        retryAfter is { } wait && context.RequestServices.GetService<RouterClock>() is { } clock ? wait / clock.Speed : retryAfter;

    private static void WriteSageMaker(Utf8JsonWriter writer, Refusal refusal)
    {
        writer.WriteString("Message", refusal.Message);
        if (refusal.Kind.SageMakerType == "ModelError")
        {
            writer.WriteNumber("OriginalStatusCode", refusal.OriginalStatusCode ?? refusal.Kind.Status);
            writer.WriteString("OriginalMessage", refusal.OriginalMessage ?? refusal.Message);
            writer.WriteString("LogStreamArn", "");
        }
    }

    private static void WriteDetails(Utf8JsonWriter writer, HttpContext context, Refusal refusal, TimeSpan? retryAfter)
    {
        writer.WriteString("type", "about:blank");
        writer.WriteString("title", refusal.Kind.Title);
        writer.WriteNumber("status", refusal.Kind.Status);
        writer.WriteString("detail", refusal.Message);
        writer.WriteString("instance", context.Request.Path.Value);
        writer.WriteString("code", refusal.Code);
        writer.WriteString("traceId", context.TraceIdentifier);
        if (refusal.DecisionId is { } decision)
        {
            writer.WriteString("decisionId", decision);
        }

        if (retryAfter is { } wait)
        {
            writer.WriteNumber("retryAfterSeconds", wait.TotalSeconds);
        }

        if (refusal.OriginalStatusCode is { } status)
        {
            writer.WriteNumber("originalStatusCode", status);
        }

        if (refusal.OriginalMessage is { } message)
        {
            writer.WriteString("originalMessage", message);
        }
    }
}
