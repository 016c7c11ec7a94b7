namespace OrleansInference.FrontDoor;

/// <summary>How one kind of problem looks in each dialect.</summary>
/// <param name="Status">Status in <c>/v1</c>.</param>
/// <param name="Title">Title of the problem details.</param>
/// <param name="SageMakerStatus">Status in the SageMaker dialect.</param>
/// <param name="SageMakerType">Value of <c>x-amzn-ErrorType</c>.</param>
internal sealed record ProblemKind(int Status, string Title, int SageMakerStatus, string SageMakerType);

/// <summary>The one place that maps problems to statuses and error types.</summary>
/// <remarks>
/// In the SageMaker dialect an SDK repeats throttling, 429 and 5xx by itself. So what waiting a moment may cure has such a type there,
/// and what it cannot cure (an empty budget, a passed deadline) has not.
/// </remarks>
internal static class ProblemTable
{
    public static readonly ProblemKind Validation = new(400, "The request is not valid.", 400, "ValidationError");
    public static readonly ProblemKind TooLarge = new(413, "The body is too large.", 413, "ValidationError");
    public static readonly ProblemKind Encoding = new(415, "The body is encoded.", 400, "ValidationError");
    public static readonly ProblemKind NotFound = new(404, "There is no such resource.", 404, "UnknownOperationException");
    public static readonly ProblemKind Method = new(405, "The method is not allowed here.", 405, "UnknownOperationException");
    public static readonly ProblemKind Forbidden = new(403, "The key does not allow this.", 403, "AccessDeniedException");
    public static readonly ProblemKind Unauthenticated = new(401, "The request carries no valid key.", 403, "MissingAuthenticationTokenException");
    public static readonly ProblemKind UnknownKey = new(401, "The request carries no valid key.", 403, "UnrecognizedClientException");
    public static readonly ProblemKind Signature = new(403, "The signature is not valid.", 403, "InvalidSignatureException");
    public static readonly ProblemKind SignatureForm = new(403, "The signature is not complete.", 403, "IncompleteSignatureException");

    public static ProblemKind Of(ProblemCode code) => code switch
    {
        ProblemCode.InvalidRequest => Validation,
        ProblemCode.UnknownModel => new(404, "There is no such model.", 400, "ValidationError"),
        ProblemCode.UnknownTenant => new(403, "There is no such tenant.", 403, "AccessDeniedException"),
        ProblemCode.UnknownJob => new(404, "There is no such job.", 400, "ValidationError"),
        ProblemCode.PayloadTooLarge => TooLarge,
        ProblemCode.BudgetExhausted => new(429, "The budget does not allow it now.", 402, "ServiceQuotaExceededException"),
        ProblemCode.DeadlineUnreachable => new(503, "No route meets the deadline.", 503, "ServiceUnavailable"),
        ProblemCode.NoCandidate => new(422, "No endpoint satisfies the request.", 400, "ValidationError"),
        ProblemCode.Throttled => new(429, "Too much at once.", 400, "ThrottlingException"),
        ProblemCode.ModelError => new(424, "The model failed.", 424, "ModelError"),
        ProblemCode.UpstreamUnavailable => new(502, "AWS did not serve the call.", 503, "ServiceUnavailable"),
        ProblemCode.DeadlineExceeded => new(504, "The deadline passed.", 424, "ModelError"),
        ProblemCode.IdempotencyConflict => new(409, "The idempotency key was used with another request: another model or body.", 400, "ValidationError"),
        ProblemCode.RequestInProgress => new(409, "A request with this idempotency key is under way.", 400, "ThrottlingException"),
        ProblemCode.InputNotFound => new(422, "The input does not exist.", 400, "ValidationError"),
        ProblemCode.Cancelled => new(410, "The request was cancelled.", 400, "ValidationError"),
        ProblemCode.Unavailable => new(503, "The router is not available.", 503, "ServiceUnavailable"),
        _ => new(500, "The router failed.", 500, "InternalFailure"),
    };
}
