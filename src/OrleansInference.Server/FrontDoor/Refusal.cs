namespace OrleansInference.FrontDoor;

/// <summary>Why a request gets no answer, before it is written in the dialect of the caller.</summary>
/// <param name="Kind">How it looks.</param>
/// <param name="Code">Stable code for programs.</param>
/// <param name="Message">What is wrong and what would help; safe to show.</param>
internal sealed record Refusal(ProblemKind Kind, string Code, string Message)
{
    /// <summary>When coming back may help.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Status that the model itself answered with.</summary>
    public int? OriginalStatusCode { get; init; }

    /// <summary>What the model itself said.</summary>
    public string? OriginalMessage { get; init; }

    /// <summary>Names the decision in the log that it comes from.</summary>
    public string? DecisionId { get; init; }

    public static Refusal Invalid(string message) => new(ProblemTable.Validation, nameof(ProblemCode.InvalidRequest), message);

    /// <summary>Refuses a request of which anything is wrong, naming everything.</summary>
    public static void Require(IReadOnlyCollection<string> problems)
    {
        if (problems.Count > 0)
        {
            throw new RefusedException(Invalid(string.Join(' ', problems)));
        }
    }

    public static Refusal Forbidden(string message) => new(ProblemTable.Forbidden, "Forbidden", message);

    public static Refusal NotFound(string message) => new(ProblemTable.NotFound, "NotFound", message);

    public static Refusal TooLarge(long limit) => new(ProblemTable.TooLarge, nameof(ProblemCode.PayloadTooLarge), $"The request body is larger than {limit} bytes, the most that is taken here. Send less, or store the input in S3 and send its address to the asynchronous operation.");

    public static Refusal Of(ProblemCode code, string message, TimeSpan? retryAfter = null) => new(ProblemTable.Of(code), code.ToString(), message) { RetryAfter = retryAfter };

    public static Refusal Of(InferenceProblem problem) => new(ProblemTable.Of(problem.Code), problem.Code.ToString(), problem.Message)
    {
        RetryAfter = problem.RetryAfter,
        OriginalStatusCode = problem.OriginalStatusCode,
        OriginalMessage = problem.OriginalMessage,
        DecisionId = problem.DecisionId,
    };
}

/// <summary>Ends the handling of a request with a refusal.</summary>
internal sealed class RefusedException(Refusal refusal) : Exception(refusal.Message)
{
    public Refusal Refusal { get; } = refusal;
}
