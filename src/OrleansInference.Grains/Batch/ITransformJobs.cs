using OrleansInference.Hosting;
using OrleansInference.Invocation;

namespace OrleansInference.Batch;

/// <summary>A batch transform job to start. One JSON line in, one line out, in order.</summary>
public sealed record TransformJobRequest
{
    /// <summary>Unique name, at most 63 characters; starting the same name twice starts one job.</summary>
    public required string JobName { get; init; }

    /// <summary>SageMaker's name of the model.</summary>
    public required string ModelName { get; init; }

    /// <summary><c>s3://</c> prefix of the input objects.</summary>
    public required string InputPrefix { get; init; }

    /// <summary><c>s3://</c> prefix for the <c>.out</c> objects.</summary>
    public required string OutputPrefix { get; init; }

    /// <summary>MIME type of one line.</summary>
    public string ContentType { get; init; } = "application/json";

    /// <summary>Instance type.</summary>
    public required string InstanceType { get; init; }

    /// <summary>Instances.</summary>
    public required int InstanceCount { get; init; }

    /// <summary>Requests one instance serves at a time.</summary>
    public required int MaxConcurrentTransforms { get; init; }

    /// <summary>Seconds the model may take for one request, 1..3600.</summary>
    public int InvocationTimeoutSeconds { get; init; } = 600;

    /// <summary>Tags.</summary>
    public IReadOnlyDictionary<string, string> Tags { get; init; } = new Dictionary<string, string>();

    /// <summary>The transform job of a batch endpoint.</summary>
    /// <param name="endpoint">Where and how it runs.</param>
    /// <param name="instances">How many of its instances.</param>
    /// <param name="name">Its name.</param>
    /// <param name="input"><c>s3://</c> prefix of the input objects.</param>
    /// <param name="output"><c>s3://</c> prefix for the output.</param>
    /// <param name="costTags">Tags for the bill.</param>
    internal static TransformJobRequest Of(EndpointDefinition endpoint, int instances, string name, string input, string output, IReadOnlyDictionary<string, string> costTags) => new()
    {
        JobName = name,
        ModelName = endpoint.TargetName,
        InputPrefix = input,
        OutputPrefix = output,
        InstanceType = endpoint.InstanceType,
        InstanceCount = instances,
        MaxConcurrentTransforms = Math.Max(1, endpoint.ConcurrencyPerInstance),
        InvocationTimeoutSeconds = (int)Math.Clamp(Math.Ceiling(endpoint.MaxServiceSeconds), 1, 3_600),
        Tags = new Dictionary<string, string>(costTags) { [CostTag.InferenceType] = nameof(Lane.Batch) },
    };
}

/// <summary>The states of a transform job.</summary>
public enum TransformJobState
{
    /// <summary>Runs.</summary>
    InProgress = 0,

    /// <summary>Ended well.</summary>
    Completed = 1,

    /// <summary>Ended with at least one object not transformed.</summary>
    Failed = 2,

    /// <summary>Is being stopped.</summary>
    Stopping = 3,

    /// <summary>Was stopped.</summary>
    Stopped = 4,
}

/// <summary>A transform job as the control plane reports it.</summary>
public sealed record TransformJobDescription
{
    /// <summary>Where SageMaker logs the errors of transform jobs, in CloudWatch.</summary>
    private const string LogGroup = "/aws/sagemaker/TransformJobs";

    /// <summary>Where it stands.</summary>
    public required TransformJobState State { get; init; }

    /// <summary>Why it failed.</summary>
    public string? FailureReason { get; init; }

    /// <summary>When its instances began to be billed.</summary>
    public DateTimeOffset? StartedAt { get; init; }

    /// <summary>When it ended.</summary>
    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Whether it has not ended.</summary>
    internal bool IsUnderWay => State is TransformJobState.InProgress or TransformJobState.Stopping;

    /// <summary>When an ended job's instances were billed, in Unix ms; <paramref name="now"/> is taken for an end that is not told.</summary>
    internal (long Began, long Ended) Billed(long now)
    {
        var ended = EndedAt?.ToUnixTimeMilliseconds() ?? now;
        return (StartedAt?.ToUnixTimeMilliseconds() ?? ended, ended);
    }

    /// <summary>
    /// Why the objects of an ended job that have no output have none. SageMaker's reason is the job's; what the model said of each object is in the job's
    /// log alone, whose place is named.
    /// </summary>
    /// <param name="jobName">The job's name.</param>
    internal string Why(string jobName) => State == TransformJobState.Stopped
        ? FailureReason ?? "The transform job was stopped."
        : $"{FailureReason ?? "SageMaker gave no reason"} (transform job '{jobName}'; what the model said is in the log group {LogGroup}, streams '{jobName}/…/data-log')";

    /// <summary>Whether the records have no part in that: somebody stopped the job, or AWS failed, as the first word of its reason tells.</summary>
    internal bool MayPass => State == TransformJobState.Stopped
        || (State == TransformJobState.Failed && (FailureReason?.StartsWith("InternalServerError", StringComparison.Ordinal) is true || FailureReason?.StartsWith("CapacityError", StringComparison.Ordinal) is true));
}

/// <summary>Batch transform.</summary>
public interface ITransformJobs
{
    /// <summary>
    /// CreateTransformJob; a name in use means that the job was started before, which is fine. Throws <see cref="ModelCallException"/>
    /// with <see cref="ModelCallFailure.Validation"/> or <see cref="ModelCallFailure.Configuration"/> if trying again does not help.
    /// </summary>
    Task StartAsync(TransformJobRequest request, CancellationToken cancellationToken);

    /// <summary>DescribeTransformJob; null if there is no such job.</summary>
    Task<TransformJobDescription?> DescribeAsync(string jobName, CancellationToken cancellationToken);

    /// <summary>StopTransformJob; harmless if it has ended.</summary>
    Task StopAsync(string jobName, CancellationToken cancellationToken);
}
