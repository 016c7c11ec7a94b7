using System.Text.Json;
using OrleansInference.Aws.EventStreams;
using OrleansInference.Aws.Transport;
using OrleansInference.Invocation;

namespace OrleansInference.Aws.Invocation;

/// <summary>What errors of SageMaker Runtime mean to the router.</summary>
internal static class RuntimeErrors
{
    public static ModelCallException Of(ServiceError error)
    {
        var failure = Classify(error);
        return new(failure, error.Message)
        {
            // These are answered before a model sees the request. A 5xx may come from before or after: it is not certain.
            NotSent = failure is ModelCallFailure.Throttled or ModelCallFailure.NotReady or ModelCallFailure.Validation or ModelCallFailure.Configuration,
            ErrorType = error.Type,
            Status = error.Status,
            OriginalStatusCode = error.Number("OriginalStatusCode"),
            OriginalMessage = error.Text("OriginalMessage"),
        };
    }

    /// <summary>The exception or error message that ends a stream.</summary>
    public static ModelCallException Of(EventStreamMessage message)
    {
        var name = message.ExceptionType ?? message.ErrorCode ?? "";
        var text = MessageIn(message) ?? message.ErrorMessage ?? $"The stream ended with {name}.";
        return name switch
        {
            "ModelStreamError" => new(ModelCallFailure.Model, text) { OriginalMessage = text },
            _ => new(ModelCallFailure.Unavailable, text),
        };
    }

    /// <summary>A call that failed without an answer.</summary>
    public static ModelCallException Of(Exception failure) => failure switch
    {
        Amazon.Runtime.AmazonClientException => new(ModelCallFailure.Configuration, "There are no usable AWS credentials: configure an access key, or one of the sources of the SDK's chain.", failure) { NotSent = true },
        _ when SignedTransport.IsBeforeSending(failure) => new(ModelCallFailure.Unavailable, $"SageMaker cannot be reached: {failure.Message}", failure) { NotSent = true },
        _ => new(ModelCallFailure.Unavailable, $"The call of SageMaker broke off: {failure.Message}", failure),
    };

    public static ModelCallException TimedOut(TimeSpan timeout, Exception? failure = null) =>
        new(ModelCallFailure.Unavailable, $"SageMaker did not answer within {timeout.TotalSeconds:0.###} s.", failure);

    private static ModelCallFailure Classify(ServiceError error) => error switch
    {
        { Type: "ModelNotReadyException" } => ModelCallFailure.NotReady,
        { Type: "ModelError" } or { Status: 424 } => ModelCallFailure.Model,
        { IsThrottling: true } => ModelCallFailure.Throttled,

        // A missing endpoint is reported as a validation error, told apart by its message alone.
        { Type: "ValidationError" or "ValidationException" } when error.Message.StartsWith("Endpoint", StringComparison.Ordinal)
            && error.Message.Contains("not found", StringComparison.OrdinalIgnoreCase) => ModelCallFailure.Configuration,
        {
            Type: "AccessDeniedException" or "AccessDenied" or "UnrecognizedClientException" or "InvalidClientTokenId" or "InvalidSignatureException"
            or "SignatureDoesNotMatch" or "IncompleteSignature" or "IncompleteSignatureException" or "MissingAuthenticationToken"
            or "MissingAuthenticationTokenException" or "ExpiredTokenException" or "ExpiredToken" or "OptInRequired" or "NotAuthorized"
        } => ModelCallFailure.Configuration,
        { Status: 401 or 403 or 404 } => ModelCallFailure.Configuration,
        { Status: >= 400 and < 500 } => error.Status == 408 ? ModelCallFailure.Unavailable : ModelCallFailure.Validation,
        _ => ModelCallFailure.Unavailable,
    };

    private static string? MessageIn(EventStreamMessage message)
    {
        try
        {
            using var body = JsonDocument.Parse(message.Payload);
            return body.RootElement.ValueKind == JsonValueKind.Object
                && (body.RootElement.TryGetProperty("Message", out var text) || body.RootElement.TryGetProperty("message", out text))
                ? text.GetString()
                : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The type alone then says what happened.
            return null;
        }
    }
}
