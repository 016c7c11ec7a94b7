namespace OrleansInference.Invocation;

/// <summary>A call of SageMaker Runtime.</summary>
public sealed record ModelCall
{
    /// <summary>SageMaker's name of the endpoint.</summary>
    public required string EndpointName { get; init; }

    /// <summary>The input.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>MIME type of the input.</summary>
    public string ContentType { get; init; } = "application/json";

    /// <summary>MIME type wanted.</summary>
    public string? Accept { get; init; }

    /// <summary>Opaque to the router; at most 1024 ASCII characters.</summary>
    public string? CustomAttributes { get; init; }

    /// <summary>Correlates data capture; 1 to 64 characters.</summary>
    public string? InferenceId { get; init; }

    /// <summary>Model on a multi-model endpoint.</summary>
    public string? TargetModel { get; init; }

    /// <summary>Production variant to call; null leaves it to the endpoint's weights.</summary>
    public string? TargetVariant { get; init; }

    /// <summary>Sticky session.</summary>
    public string? SessionId { get; init; }
}

/// <summary>What the model answered.</summary>
public sealed record ModelAnswer
{
    /// <summary>The output.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>MIME type of the output.</summary>
    public string? ContentType { get; init; }

    /// <summary>The model's own custom attributes.</summary>
    public string? CustomAttributes { get; init; }

    /// <summary>Production variant that served.</summary>
    public string? InvokedProductionVariant { get; init; }
}

/// <summary>A streamed answer. Dispose it to end the call.</summary>
public interface IModelStream : IAsyncDisposable
{
    /// <summary>MIME type of the output.</summary>
    string? ContentType { get; }

    /// <summary>The model's own custom attributes.</summary>
    string? CustomAttributes { get; }

    /// <summary>Production variant that serves.</summary>
    string? InvokedProductionVariant { get; }

    /// <summary>Payload parts in order; throws <see cref="ModelCallException"/> if the model breaks off.</summary>
    IAsyncEnumerable<ReadOnlyMemory<byte>> ReadPartsAsync(CancellationToken cancellationToken);
}

/// <summary>A call of InvokeEndpointAsync.</summary>
public sealed record AsyncModelCall
{
    /// <summary>SageMaker's name of the endpoint.</summary>
    public required string EndpointName { get; init; }

    /// <summary><c>s3://</c> address of the input.</summary>
    public required string InputLocation { get; init; }

    /// <summary>MIME type of the input.</summary>
    public string? ContentType { get; init; }

    /// <summary>MIME type wanted.</summary>
    public string? Accept { get; init; }

    /// <summary>Opaque to the router.</summary>
    public string? CustomAttributes { get; init; }

    /// <summary>Names the inference; 1 to 64 characters.</summary>
    public string? InferenceId { get; init; }

    /// <summary>Seconds the request may wait in the queue, 60..21600.</summary>
    public int? RequestTtlSeconds { get; init; }

    /// <summary>Seconds the model may take, 1..3600.</summary>
    public int? InvocationTimeoutSeconds { get; init; }

    /// <summary>Key prefix of the output below the endpoint's own output path.</summary>
    public string? S3OutputPathExtension { get; init; }

    /// <summary>File name of the output.</summary>
    public string? Filename { get; init; }
}

/// <summary>SageMaker's receipt for an asynchronous call.</summary>
public sealed record AsyncModelReceipt
{
    /// <summary>The inference's id.</summary>
    public required string InferenceId { get; init; }

    /// <summary><c>s3://</c> address where the output will be.</summary>
    public required string OutputLocation { get; init; }

    /// <summary><c>s3://</c> address where a failure will be described.</summary>
    public string? FailureLocation { get; init; }
}

/// <summary>How a call of SageMaker failed.</summary>
public enum ModelCallFailure
{
    /// <summary>The request breaks a rule of SageMaker (400). Sending it again does not help.</summary>
    Validation = 0,

    /// <summary>The model's container failed (424).</summary>
    Model = 1,

    /// <summary>Serverless still provisioning, or a multi-model endpoint still loading (429).</summary>
    NotReady = 2,

    /// <summary>Throttled (400 ThrottlingException, or 429).</summary>
    Throttled = 3,

    /// <summary>SageMaker failed or could not be reached (5xx, connection).</summary>
    Unavailable = 4,

    /// <summary>No endpoint of that name, or access denied.</summary>
    Configuration = 5,
}

/// <summary>A call of SageMaker that failed.</summary>
public sealed class ModelCallException : Exception
{
    /// <summary>Creates the exception.</summary>
    public ModelCallException(ModelCallFailure failure, string message, Exception? innerException = null)
        : base(message, innerException) => Failure = failure;

    /// <summary>How it failed.</summary>
    public ModelCallFailure Failure { get; }

    /// <summary>True if the request certainly did not reach a model, so that nothing ran.</summary>
    public bool NotSent { get; init; }

    /// <summary>SageMaker's name of the error, such as <c>AccessDeniedException</c>; null if there was no answer of SageMaker's.</summary>
    public string? ErrorType { get; init; }

    /// <summary>HTTP status of SageMaker's answer; null if there was none.</summary>
    public int? Status { get; init; }

    /// <summary>Status that the model's container answered with.</summary>
    public int? OriginalStatusCode { get; init; }

    /// <summary>What the model's container answered.</summary>
    public string? OriginalMessage { get; init; }
}

/// <summary>SageMaker Runtime. Methods throw <see cref="ModelCallException"/>, or <see cref="OperationCanceledException"/> when cancelled.</summary>
public interface IModelRuntime
{
    /// <summary>InvokeEndpoint. Does not retry.</summary>
    Task<ModelAnswer> InvokeAsync(ModelCall call, CancellationToken cancellationToken);

    /// <summary>InvokeEndpointWithResponseStream. Does not retry.</summary>
    Task<IModelStream> InvokeStreamAsync(ModelCall call, CancellationToken cancellationToken);

    /// <summary>InvokeEndpointAsync.</summary>
    Task<AsyncModelReceipt> InvokeAsynchronouslyAsync(AsyncModelCall call, CancellationToken cancellationToken);
}
