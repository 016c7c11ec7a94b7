using System.Diagnostics;
using OrleansInference.Diagnosis;

namespace OrleansInference.FrontDoor;

/// <summary>The outermost step: whatever goes wrong inside becomes an answer in the caller's dialect, and details stay in the log.</summary>
internal sealed class FaultShield(RequestDelegate next, ILogger<FaultShield> logger)
{
    private const int StatusClientClosedRequest = 499;

    public async Task InvokeAsync(HttpContext context)
    {
        context.TraceIdentifier = Activity.Current is { } activity && activity.TraceId != default ? activity.TraceId.ToHexString() : NewId();
        if (RefusalWriter.SpeaksSageMaker(context.Request))
        {
            context.Response.Headers["x-amzn-RequestId"] = context.TraceIdentifier;
        }

        try
        {
            RequireNoEncoding(context.Request);
            await next(context);
            if (context.Response is { HasStarted: false, ContentLength: null, StatusCode: StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed or StatusCodes.Status415UnsupportedMediaType } response && response.ContentType is null)
            {
                await RefusalWriter.WriteAsync(context, Unrouted(context));
            }
        }
        catch (Exception exception)
        {
            await TranslateAsync(context, exception);
        }
    }

    // Bodies are bounded, hashed, priced and handed on as they come.
    private static void RequireNoEncoding(HttpRequest request)
    {
        if (request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
        {
            throw new RefusedException(new(ProblemTable.Encoding, "UnsupportedEncoding", $"Content-Encoding: a body in '{(encoding.Length > 64 ? encoding[..64] : encoding)}' is not taken; send it as it is, without that header."));
        }
    }

    // Only to find a request again, so chance need not be of the costly kind.
    private static string NewId()
    {
        Span<byte> id = stackalloc byte[16];
        Random.Shared.NextBytes(id);
        return Convert.ToHexStringLower(id);
    }

    private static Refusal Unrouted(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status405MethodNotAllowed => new(ProblemTable.Method, "MethodNotAllowed", $"{context.Request.Method} is not allowed on {context.Request.Path}; allowed: {context.Response.Headers.Allow}."),
        StatusCodes.Status415UnsupportedMediaType => Refusal.Invalid("Content-Type: the body must be JSON; send application/json."),
        _ => Refusal.NotFound($"There is nothing at {context.Request.Path}. The operations are described at /openapi/v1.json."),
    };

    private async Task TranslateAsync(HttpContext context, Exception exception)
    {
        if (exception is OperationCanceledException && context.RequestAborted.IsCancellationRequested)
        {
            if (!context.Response.HasStarted)
            {
                context.Response.StatusCode = StatusClientClosedRequest;
            }

            return;
        }

        if (context.Response.HasStarted)
        {
            // The status is out. Only a broken connection still tells the caller that the answer is not whole.
            logger.Broken(context.Request.Path, context.TraceIdentifier, exception);
            context.Abort();
            return;
        }

        var refusal = exception switch
        {
            RefusedException refused => refused.Refusal,
            BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => new(ProblemTable.TooLarge, nameof(ProblemCode.PayloadTooLarge), "The request body is larger than is taken here."),
            BadHttpRequestException { StatusCode: StatusCodes.Status415UnsupportedMediaType } => Refusal.Invalid("The body must be JSON: send Content-Type: application/json."),
            BadHttpRequestException bad => Refusal.Invalid(Plain(bad)),
            TimeoutException or Orleans.Runtime.OrleansException => Refusal.Of(ProblemCode.Unavailable, "The router could not reach the part that holds this; try again.", TimeSpan.FromSeconds(1)),
            _ when AwsProblem.Of(exception, isOfAws: false) is not null => Refusal.Of(ProblemCode.Unavailable, "Something of AWS that this needs cannot be used now; try again.", TimeSpan.FromSeconds(1)),
            _ => Refusal.Of(ProblemCode.Internal, $"The router failed and charged nothing for it. Quote {context.TraceIdentifier} when you report this."),
        };
        if (exception is not (RefusedException or BadHttpRequestException))
        {
            logger.Failed(context.Request.Path, context.TraceIdentifier, exception);
        }

        var requestId = context.Response.Headers["x-amzn-RequestId"];
        context.Response.Clear();
        if (requestId.Count > 0)
        {
            context.Response.Headers["x-amzn-RequestId"] = requestId;
        }

        await RefusalWriter.WriteAsync(context, refusal);
    }

    // Binding errors wrap the JSON error, which says what and where; types' names do not belong in an answer.
    private static string Plain(BadHttpRequestException exception) => exception.InnerException is System.Text.Json.JsonException json
        ? Configuration.CatalogFile.Describe("The body is not valid", json)
        : "The request is not valid: " + exception.Message;
}

internal static partial class FaultShieldLog
{
    [LoggerMessage(10, LogLevel.Error, "{Path} failed ({TraceId})")]
    public static partial void Failed(this ILogger logger, PathString path, string traceId, Exception exception);

    [LoggerMessage(11, LogLevel.Warning, "{Path} broke off after its answer had begun ({TraceId})")]
    public static partial void Broken(this ILogger logger, PathString path, string traceId, Exception exception);
}
