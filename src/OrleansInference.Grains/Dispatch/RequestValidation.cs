using System.Text;
using OrleansInference.Hosting;

namespace OrleansInference.Dispatch;

/// <summary>The rules of a request that need no tenant and no model.</summary>
internal static class RequestValidation
{
    private const int MaxIdempotencyKey = 255;
    private const int MaxCustomAttributes = 1024;
    private const int MaxInferenceId = 64;
    private const int MaxHeader = 2048;
    private const int AllLanes = 0b1111;
    private static readonly TimeSpan MaxDeadline = TimeSpan.FromDays(366);

    /// <summary>What is wrong, and what would help; null if nothing is.</summary>
    public static InferenceProblem? Check(InferenceRequest request, OrleansInferenceOptions options)
    {
        if (request.Body.Length > options.MaxBodyBytes)
        {
            return new() { Code = ProblemCode.PayloadTooLarge, Message = $"The body of {request.Body.Length} bytes is larger than the {options.MaxBodyBytes} bytes that are taken; store it in S3 and send its address." };
        }

        return Find(request) is { } message ? new() { Code = ProblemCode.InvalidRequest, Message = message } : null;
    }

    private static string? Find(InferenceRequest request)
    {
        if (request.Tenant.Value.Length == 0)
        {
            return "The request names no tenant.";
        }

        if (request.Model.Value.Length == 0)
        {
            return "The request names no model.";
        }

        if (string.IsNullOrWhiteSpace(request.ContentType) || !IsHeader(request.ContentType) || (request.Accept is { } accept && !IsHeader(accept)))
        {
            return $"The content type or accept type is not a MIME type of at most {MaxHeader} ASCII characters.";
        }

        if (request.Class is { } trafficClass && !Enum.IsDefined(trafficClass))
        {
            return $"{(int)trafficClass} is no class; use High, Medium or Low.";
        }

        if (request.Deadline is { } deadline && (deadline <= TimeSpan.Zero || deadline > MaxDeadline))
        {
            return $"A deadline of {deadline.TotalSeconds:0.###} s is outside 0 to {MaxDeadline.TotalDays:0} days from arrival.";
        }

        if (request.MinQuality is { } quality && !(quality is >= 0 and <= 1))
        {
            return $"A quality floor of {quality} is outside 0..1.";
        }

        if (request.MaxCharge is { IsNegative: true } charge)
        {
            return $"A maximum charge of {charge} $ is negative.";
        }

        if (request.IdempotencyKey is { } key && (key.Length is 0 or > MaxIdempotencyKey || key.Any(char.IsControl)))
        {
            return $"An idempotency key must have 1 to {MaxIdempotencyKey} characters and no control characters.";
        }

        if (!Enum.IsDefined(request.Delivery))
        {
            return $"{(int)request.Delivery} is no way of delivery; use Inline or Either.";
        }

        if ((request.InputTokens is { } input && input is < 0 or > InferenceRequest.MostTokens) || (request.MaxOutputTokens is { } output && output is < 1 or > InferenceRequest.MostTokens))
        {
            return $"Token counts must be 0 (output: 1) to {InferenceRequest.MostTokens}.";
        }

        if (request.CustomAttributes is { } attributes && (attributes.Length > MaxCustomAttributes || !Ascii.IsValid(attributes) || attributes.Any(char.IsControl)))
        {
            return $"Custom attributes must be at most {MaxCustomAttributes} printable ASCII characters.";
        }

        if (request.InferenceId is { } id && (id.Length is 0 or > MaxInferenceId || !IsHeader(id)))
        {
            return $"An inference id must have 1 to {MaxInferenceId} printable ASCII characters.";
        }

        if ((request.TargetModel is { } target && (target.Length == 0 || !IsHeader(target))) || (request.SessionId is { } session && (session.Length == 0 || !IsHeader(session))))
        {
            return "A target model or session id must be printable ASCII characters.";
        }

        if ((request.LaneMask & ~AllLanes) != 0)
        {
            return $"Lane set {request.LaneMask} names lanes that do not exist; use Realtime, Serverless, Async and Batch.";
        }

        if (request.ReplyTo is { } reply && ((reply.Queue ?? reply.Webhook)?.Length is null or 0 or > MaxHeader || reply.CorrelationId is { Length: 0 or > MaxIdempotencyKey }))
        {
            return $"A reply's queue or webhook must have 1 to {MaxHeader} characters, and its correlation id 1 to {MaxIdempotencyKey}.";
        }

        if (request.ReplyTo is { Queue: not null, Webhook: not null })
        {
            return "A request's end is told to a queue or to a webhook, not to both.";
        }

        return request.InputLocation is { } location && (!location.StartsWith("s3://", StringComparison.Ordinal) || !request.Body.IsEmpty)
            ? "An input location must be an s3:// address, and comes without a body."
            : null;
    }

    private static bool IsHeader(string text) => text.Length <= MaxHeader && !text.AsSpan().ContainsAnyExceptInRange(' ', '~');
}
