using System.Text.Json.Serialization;

namespace OrleansInference;

/// <summary>The states of a job. The last four are final.</summary>
[JsonConverter(typeof(NamedEnumConverter<JobState>))]
public enum JobState
{
    /// <summary>Durable; not yet handed to a lane.</summary>
    Accepted = 0,

    /// <summary>Handed to SageMaker or to a batch window.</summary>
    Dispatched = 1,

    /// <summary>Known to be running.</summary>
    Running = 2,

    /// <summary>Ended with a result.</summary>
    Succeeded = 3,

    /// <summary>Ended with an error.</summary>
    Failed = 4,

    /// <summary>Its deadline passed first.</summary>
    Expired = 5,

    /// <summary>The caller cancelled it.</summary>
    Cancelled = 6,
}

/// <summary>What a job is made from. The input is stored under <see cref="InputKey"/>, unless it comes beside this.</summary>
[GenerateSerializer, Immutable, Alias("oi.JobSpecification")]
public sealed record JobSpecification
{
    /// <summary>The request, without its body.</summary>
    [Id(0)] public required InferenceRequest Request { get; init; }

    /// <summary>The route that was decided.</summary>
    [Id(1)] public required RouteTaken Route { get; init; }

    /// <summary>Key of the input object in the payload bucket.</summary>
    [Id(2)] public required string InputKey { get; init; }

    /// <summary>Unix ms of arrival.</summary>
    [Id(3)] public required long AcceptedAt { get; init; }

    /// <summary>Unix ms after which the answer is worthless.</summary>
    [Id(4)] public required long Deadline { get; init; }

    /// <summary>SHA-256 of the body in hex: the same idempotency key must come with the same one.</summary>
    [Id(5)] public required string BodyHash { get; init; }

    /// <summary>Bytes of the body.</summary>
    [Id(6)] public long BodyLength { get; init; }

    /// <summary>Size class of the request, for the model's latency statistics.</summary>
    [Id(7)] public int SizeClass { get; init; }

    /// <summary>Whether it may be accepted before the budget allows it, and wait for that.</summary>
    [Id(8)] public bool MayHold { get; init; }

    /// <summary>Milliseconds that its call is expected to take; 0: as the endpoint's prior says.</summary>
    [Id(9)] public double ServiceMs { get; init; }
}

/// <summary>The input of a job that is to be accepted.</summary>
[GenerateSerializer, Immutable, Alias("oi.JobInput")]
public sealed record JobInput
{
    /// <summary>The bytes.</summary>
    [Id(0)] public required ReadOnlyMemory<byte> Body { get; init; }
}

/// <summary>A job as its caller sees it.</summary>
[GenerateSerializer, Immutable, Alias("oi.JobView")]
public sealed record JobView
{
    /// <summary>The id, unique within the tenant.</summary>
    [Id(0)] public required string JobId { get; init; }

    /// <summary>Who pays.</summary>
    [Id(1)] public required TenantId Tenant { get; init; }

    /// <summary>What was asked.</summary>
    [Id(2)] public required ModelName Model { get; init; }

    /// <summary>Where it stands.</summary>
    [Id(3)] public required JobState State { get; init; }

    /// <summary>The route, with the charge once it has ended.</summary>
    [Id(4)] public required RouteTaken Route { get; init; }

    /// <summary>When it was accepted.</summary>
    [Id(5)] public required DateTimeOffset AcceptedAt { get; init; }

    /// <summary>When its answer becomes worthless.</summary>
    [Id(6)] public required DateTimeOffset Deadline { get; init; }

    /// <summary>When it ended.</summary>
    [Id(7)] public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Why it failed.</summary>
    [Id(8)] public InferenceProblem? Problem { get; init; }

    /// <summary>Where its result is stored, <c>s3://bucket/key</c>, once it has succeeded.</summary>
    [Id(9)] public string? OutputLocation { get; init; }

    /// <summary>MIME type of the result.</summary>
    [Id(10)] public string? ContentType { get; init; }

    /// <summary>Where its result will be stored, <c>s3://bucket/key</c>.</summary>
    [Id(11)] public string? ExpectedOutputLocation { get; init; }

    /// <summary>Where its failure will be described, <c>s3://bucket/key</c>.</summary>
    [Id(12)] public string? FailureLocation { get; init; }

    /// <summary>
    /// Set while an <see cref="JobState.Accepted"/> job waits for its tenant's budget, and when it ended so: when the money it
    /// needs is expected to be free. Nothing is reserved for it yet.
    /// </summary>
    [Id(13)] public DateTimeOffset? HeldUntil { get; init; }

    /// <summary>How telling its end to the queue or the webhook of the request stands; null if it named none.</summary>
    [Id(14)] public JobReplyView? Reply { get; init; }

    /// <summary>SHA-256 in hex of the body that it was accepted with, or of its input's address; null from a silo of an earlier release. Not shown over HTTP.</summary>
    [Id(15), JsonIgnore] public string? BodyHash { get; init; }
}

/// <summary>How telling a job's end stands.</summary>
[JsonConverter(typeof(NamedEnumConverter<ReplyState>))]
public enum ReplyState
{
    /// <summary>It is told once the job has ended, or is being tried.</summary>
    Pending = 0,

    /// <summary>The receiver has taken it.</summary>
    Sent = 1,

    /// <summary>It was tried as long as is stated, or the receiver wants it never.</summary>
    GivenUp = 2,
}

/// <summary>How telling a job's end to a queue or a webhook stands.</summary>
[GenerateSerializer, Immutable, Alias("oi.JobReplyView")]
public sealed record JobReplyView
{
    /// <summary>Where it stands.</summary>
    [Id(0)] public required ReplyState State { get; init; }

    /// <summary>Tries so far.</summary>
    [Id(1)] public int Tries { get; init; }

    /// <summary>Why the last try failed.</summary>
    [Id(2)] public string? Problem { get; init; }

    /// <summary>When it is tried again.</summary>
    [Id(3)] public DateTimeOffset? NextTryAt { get; init; }
}

/// <summary>What a batch window tells a member when its transform job has ended.</summary>
[GenerateSerializer, Immutable, Alias("oi.WindowResult")]
public sealed record WindowResult
{
    /// <summary>Key of the member's own result object; null if it failed.</summary>
    [Id(0)] public string? OutputKey { get; init; }

    /// <summary>Why it failed.</summary>
    [Id(1)] public string? Failure { get; init; }

    /// <summary>The member's share of the tariff.</summary>
    [Id(2)] public Money Charge { get; init; }

    /// <summary>Milliseconds that the model itself took for it, as the model reported; 0 if it did not.</summary>
    [Id(3)] public double ServiceMs { get; init; }

    /// <summary>Unix ms when the transform job that served it began; 0 if none did.</summary>
    [Id(4)] public long StartedAt { get; init; }

    /// <summary>Its share of what AWS bills for the window; the shares of a window add up to the bill.</summary>
    [Id(5)] public Money Cost { get; init; }
}

/// <summary>One job's state machine. Key: <c>tenant/job id</c>. Every transition is durable before it is visible.</summary>
[Alias("oi.IJobGrain")]
public interface IJobGrain : IGrainWithStringKey
{
    /// <summary>Begins the job, or answers the one that is there; an outcome with a problem if it could not be accepted.</summary>
    [Alias("Accept")] Task<InferenceOutcome> Accept(JobSpecification specification);

    /// <summary>
    /// As <see cref="Accept"/>, and stores the input: after the reminder that finds it should the job never become durable, and before the job does.
    /// </summary>
    [Alias("AcceptWithInput")] Task<InferenceOutcome> AcceptWithInput(JobSpecification specification, JobInput input);

    /// <summary>
    /// The input of a job that will be told by <see cref="Accept"/> is about to be stored: sets the reminder that deletes it, should the job not become durable within
    /// two hours.
    /// </summary>
    [Alias("Expect")] Task Expect(JobSpecification specification);

    /// <summary>The job; null if there is none.</summary>
    [Alias("Get")] Task<JobView?> Get();

    /// <summary>Waits at most <paramref name="wait"/> for the job to end, then answers it as it stands.</summary>
    [Alias("WaitForEnd")] Task<JobView?> WaitForEnd(TimeSpan wait);

    /// <summary>Cancels the job unless it has ended; answers the job as it then stands.</summary>
    [Alias("Cancel")] Task<JobView?> Cancel();

    /// <summary>Looks for the result now: a notification arrived. Harmless at any time.</summary>
    [Alias("Check")] Task Check();

    /// <summary>The money that a held job waits for is reserved for it. Harmless at any time.</summary>
    /// <param name="reservationId">The reservation; a job of this id that has another one is not meant.</param>
    /// <param name="admittedAt">Unix ms at which its charge counts, by the ledger.</param>
    [Alias("Funded")] Task Funded(string reservationId, long admittedAt);

    /// <summary>The batch window's answer. Harmless when repeated. Answers what the job is charged, which is nothing if it had ended otherwise.</summary>
    [Alias("WindowEnded")] Task<Money> WindowEnded(WindowResult result);

    /// <summary>As <see cref="Accept"/>, or with an input as <see cref="AcceptWithInput"/>, of a job that is deferred to a real-time endpoint: a silo of the release before, which would take it for an asynchronous one, does not know this call.</summary>
    [Alias("AcceptDeferred")] Task<InferenceOutcome> AcceptDeferred(JobSpecification specification, JobInput? input);

    /// <summary>The turn of a deferred job has come: it calls its endpoint now. Harmless when repeated. False if there is nothing to call, or it goes its own way already.</summary>
    [Alias("Begin")] Task<bool> Begin();
}

/// <summary>A job that joins a batch window.</summary>
[GenerateSerializer, Immutable, Alias("oi.WindowMember")]
public sealed record WindowMember
{
    /// <summary>Key of the job grain.</summary>
    [Id(0)] public required string JobKey { get; init; }

    /// <summary>Key of its input object.</summary>
    [Id(1)] public required string InputKey { get; init; }

    /// <summary>Bytes of its input.</summary>
    [Id(2)] public required long Bytes { get; init; }

    /// <summary>Unix ms of its deadline.</summary>
    [Id(3)] public required long Deadline { get; init; }

    /// <summary>Its charge cap.</summary>
    [Id(4)] public required Money ChargeCap { get; init; }

    /// <summary>MIME type of its input.</summary>
    [Id(5)] public required string ContentType { get; init; }

    /// <summary>Input tokens, known or estimated.</summary>
    [Id(6)] public int InputTokens { get; init; }
}

/// <summary>The states of a batch window.</summary>
[JsonConverter(typeof(NamedEnumConverter<WindowState>))]
public enum WindowState
{
    /// <summary>Takes members.</summary>
    Open = 0,

    /// <summary>Takes no more; its input is being written or its transform job started.</summary>
    Closed = 1,

    /// <summary>Its transform job runs.</summary>
    Running = 2,

    /// <summary>Its members have their results.</summary>
    Ended = 3,
}

/// <summary>A batch window as it stands.</summary>
[GenerateSerializer, Immutable, Alias("oi.WindowView")]
public sealed record WindowView
{
    /// <summary>Where it stands.</summary>
    [Id(0)] public required WindowState State { get; init; }

    /// <summary>How many requests it holds.</summary>
    [Id(1)] public required int Members { get; init; }

    /// <summary>Unix ms when it closes at the latest.</summary>
    [Id(2)] public long ClosesAt { get; init; }

    /// <summary>The transform job's name, once there is one.</summary>
    [Id(3)] public string? TransformJob { get; init; }

    /// <summary>Unix ms when its members are expected to have their results.</summary>
    [Id(4)] public long ExpectedAt { get; init; }
}

/// <summary>Collects low-class jobs into one transform job. Key: <c>endpoint/window</c>.</summary>
[Alias("oi.IBatchWindowGrain")]
public interface IBatchWindowGrain : IGrainWithStringKey
{
    /// <summary>Adds a member durably; false if the window is closed. A member that is already in stays in.</summary>
    [Alias("Join")] Task<bool> Join(EndpointConfiguration endpoint, WindowMember member);

    /// <summary>Takes a member out if the window is still open.</summary>
    [Alias("Leave")] Task<bool> Leave(string jobKey);

    /// <summary>The window as it stands.</summary>
    [Alias("GetView")] Task<WindowView> GetView();
}

/// <summary>Which window of a batch endpoint takes members now: a number that counts up and is never used twice. Key: the endpoint's name.</summary>
[Alias("oi.IBatchWindowsGrain")]
public interface IBatchWindowsGrain : IGrainWithStringKey
{
    /// <summary>The number of the window to join.</summary>
    [Alias("Current")] Task<long> Current();

    /// <summary>The number to join after window <paramref name="closed"/> took no more; durable before it is answered.</summary>
    [Alias("After")] Task<long> After(long closed);

    /// <summary>Milliseconds that transform jobs of this endpoint take beyond the requests themselves, as measured; null before the first.</summary>
    [Alias("GetOverhead")] Task<double?> GetOverhead();

    /// <summary>Takes the overhead of a transform job that ended.</summary>
    [Alias("ReportOverhead")] Task ReportOverhead(double milliseconds);
}
