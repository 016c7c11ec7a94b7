using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>Why a request was not answered. Each value has one HTTP status and one SageMaker error type.</summary>
[JsonConverter(typeof(NamedEnumConverter<ProblemCode>))]
public enum ProblemCode
{
    /// <summary>A field does not parse or breaks a limit.</summary>
    InvalidRequest = 0,

    /// <summary>No model of that name, or not for this tenant.</summary>
    UnknownModel = 1,

    /// <summary>No tenant of that name.</summary>
    UnknownTenant = 2,

    /// <summary>No job of that id.</summary>
    UnknownJob = 3,

    /// <summary>The body is larger than every lane takes.</summary>
    PayloadTooLarge = 4,

    /// <summary>The budget does not allow it now.</summary>
    BudgetExhausted = 5,

    /// <summary>No candidate can answer by the deadline.</summary>
    DeadlineUnreachable = 6,

    /// <summary>Constraints (quality, charge, lanes, streaming) leave no candidate.</summary>
    NoCandidate = 7,

    /// <summary>Too much at once; come back later.</summary>
    Throttled = 8,

    /// <summary>The model itself failed.</summary>
    ModelError = 9,

    /// <summary>AWS did not serve the call.</summary>
    UpstreamUnavailable = 10,

    /// <summary>The deadline passed while the model was running.</summary>
    DeadlineExceeded = 11,

    /// <summary>The idempotency key was used with another model or body.</summary>
    IdempotencyConflict = 12,

    /// <summary>The caller gave up.</summary>
    Cancelled = 13,

    /// <summary>A fault of the router; nothing was charged.</summary>
    Internal = 14,

    /// <summary>The router is starting, stopping or lacks its storage.</summary>
    Unavailable = 15,

    /// <summary>A request with the same idempotency key is under way.</summary>
    RequestInProgress = 16,

    /// <summary>The object that the request names as its input does not exist; the model was not asked.</summary>
    InputNotFound = 17,
}

/// <summary>A refusal or failure, with what to do about it.</summary>
[GenerateSerializer, Immutable, Alias("oi.InferenceProblem")]
public sealed record InferenceProblem
{
    /// <summary>The kind of problem.</summary>
    [Id(0)] public required ProblemCode Code { get; init; }

    /// <summary>What is wrong and what would help, naming the thing.</summary>
    [Id(1)] public required string Message { get; init; }

    /// <summary>When coming back may help; null where waiting does not.</summary>
    [Id(2)] public TimeSpan? RetryAfter { get; init; }

    /// <summary>Status the model itself answered with, for <see cref="ProblemCode.ModelError"/>.</summary>
    [Id(3)] public int? OriginalStatusCode { get; init; }

    /// <summary>What the model itself said, for <see cref="ProblemCode.ModelError"/>.</summary>
    [Id(4)] public string? OriginalMessage { get; init; }

    /// <summary>Names the decision in the log that the refusal comes from; null if none was made.</summary>
    [Id(5)] public string? DecisionId { get; init; }
}

/// <summary>Which route was taken and what it cost the tenant.</summary>
[GenerateSerializer, Immutable, Alias("oi.RouteTaken")]
public sealed record RouteTaken
{
    /// <summary>Names the decision in the log.</summary>
    [Id(0)] public required string DecisionId { get; init; }

    /// <summary>The class it was treated as.</summary>
    [Id(1)] public required TrafficClass Class { get; init; }

    /// <summary>The lane.</summary>
    [Id(2)] public required Lane Lane { get; init; }

    /// <summary>The endpoint.</summary>
    [Id(3)] public required EndpointName Endpoint { get; init; }

    /// <summary>The variant.</summary>
    [Id(4)] public required VariantName Variant { get; init; }

    /// <summary>What was charged; for a job not yet ended, nothing yet.</summary>
    [Id(5)] public Money Charge { get; init; }

    /// <summary>The most it can be charged.</summary>
    [Id(6)] public Money ChargeCap { get; init; }

    /// <summary>Predicted probability of answering by the deadline, 0..1, as it was when the route was chosen.</summary>
    [Id(7)] public double ProbabilityInTime { get; init; }
}

/// <summary>
/// What became of a request: an answer (<see cref="Body"/>), an accepted job (<see cref="JobId"/>) or a
/// <see cref="Problem"/>.
/// </summary>
[GenerateSerializer, Immutable, Alias("oi.InferenceOutcome")]
public sealed record InferenceOutcome
{
    /// <summary>Set if there is neither answer nor job.</summary>
    [Id(0)] public InferenceProblem? Problem { get; init; }

    /// <summary>The route; set unless the request was refused before one was chosen.</summary>
    [Id(1)] public RouteTaken? Route { get; init; }

    /// <summary>Set if the answer comes later.</summary>
    [Id(2)] public string? JobId { get; init; }

    /// <summary>The model's answer.</summary>
    [Id(3)] public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>MIME type of <see cref="Body"/>.</summary>
    [Id(4)] public string? ContentType { get; init; }

    /// <summary>The model's own custom attributes.</summary>
    [Id(5)] public string? CustomAttributes { get; init; }

    /// <summary>The production variant SageMaker says it invoked.</summary>
    [Id(6)] public string? InvokedProductionVariant { get; init; }

    /// <summary>Whether this is the outcome of an earlier request with the same idempotency key; <see cref="Route"/> tells its one charge.</summary>
    [Id(7)] public bool IsReplay { get; init; }

    /// <summary>For a job that waits for its tenant's budget: when the money it needs is expected to be free.</summary>
    [Id(8)] public DateTimeOffset? HeldUntil { get; init; }

    /// <summary>What is left of the tenant's limits at the door that apply to the request; empty if none do.</summary>
    [Id(9)] public ImmutableArray<LimitQuota> Limits { get; init; } = [];

    /// <summary>Whether there is an answer now.</summary>
    [JsonIgnore] public bool IsAnswer => Problem is null && JobId is null;

    /// <summary>A refusal.</summary>
    public static InferenceOutcome Refused(ProblemCode code, string message, TimeSpan? retryAfter = null, RouteTaken? route = null) =>
        new() { Problem = new() { Code = code, Message = message, RetryAfter = retryAfter }, Route = route };
}
